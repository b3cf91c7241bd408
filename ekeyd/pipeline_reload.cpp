// A configuration takes the place of another while the daemon serves: all of it, or nothing.
#include <algorithm>
#include <filesystem>

#include "ekeyd/pipeline.h"
#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/refusal.h"

namespace ekey {

namespace {

using List = std::vector<config::Setting>;
using Change = std::function<Result<void>(std::string_view)>;

bool has(const List& list, std::string_view value) {
    return std::any_of(list.begin(), list.end(), [&](const auto& setting) { return setting.value == value; });
}

// Steps that were taken, and are undone in reverse unless all of them were.
class Undo {
  public:
    Undo() = default;
    Undo(const Undo&) = delete;
    Undo& operator=(const Undo&) = delete;
    ~Undo() {
        for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
            (*step)();
        }
    }
    void by(std::function<void()> step) { steps_.push_back(std::move(step)); }
    void forget() { steps_.clear(); }

  private:
    std::vector<std::function<void()>> steps_;
};

std::string_view port(std::string_view rest) {
    return rest.substr(rest.rfind(':') + 1);
}

// Whether the one has to go before the other can come: the same path, or the same port, since one of two
// hosts may stand for all.
bool same_place(std::string_view one, std::string_view other) {
    const auto a = config::parse_address(one), b = config::parse_address(other);
    if (!a || !b || (a->kind == "vsock") != (b->kind == "vsock")) {
        return false;
    }
    const bool paths = a->rest.starts_with('/') || b->rest.starts_with('/');
    return paths ? a->rest == b->rest : port(a->rest) == port(b->rest);
}

// What the system refuses to a daemon that may do less than when it began.
std::string explained(const std::string& reason) {
    const bool refused = reason.find("ermission denied") != std::string::npos ||
                         reason.find("not permitted") != std::string::npos ||
                         reason.find("Read-only") != std::string::npos;
    return refused ? reason + " (a running ekeyd has given up rights that it had when it began: "
                              "this may need a restart)"
                   : reason;
}

// One of the lists of addresses.
struct Exchange {
    const List& from;
    const List& to;
    std::function<bool(std::string_view)> present;
    Change add, remove;
    Undo& undo;

    Result<void> put(const config::Setting& setting) {
        if (auto added = add(setting.value); !added) {
            return fail(setting.where + ": " + explained(added.error().what));
        }
        undo.by([remove = remove, value = setting.value] { static_cast<void>(remove(value)); });
        return {};
    }

    void take(const std::string& value) {
        static_cast<void>(remove(value)); // it is present
        undo.by([add = add, value] {
            if (auto back = add(value); !back) {
                log::error("could not be taken back", {{"address", value}, {"reason", back.error().what}});
            }
        });
    }

    // Returns what is to be removed once all else has been done. What has a place of its own comes first, so
    // that nobody loses a client for it when it cannot.
    Result<std::vector<std::string>> run() {
        std::vector<std::string> gone;
        for (const auto& setting : from) {
            if (!has(to, setting.value) && present(setting.value)) {
                gone.push_back(setting.value);
            }
        }
        std::vector<const config::Setting*> in_place_of_another;
        for (const auto& setting : to) {
            if (present(setting.value)) {
                continue;
            }
            if (std::any_of(gone.begin(), gone.end(),
                            [&](const auto& old) { return same_place(old, setting.value); })) {
                in_place_of_another.push_back(&setting);
            } else if (auto done = put(setting); !done) {
                return tl::unexpected(done.error());
            }
        }
        for (const auto* setting : in_place_of_another) {
            std::erase_if(gone, [&](const std::string& old) {
                const bool same = same_place(old, setting->value);
                if (same) {
                    take(old);
                }
                return same;
            });
            if (auto done = put(*setting); !done) {
                return tl::unexpected(done.error());
            }
        }
        return gone;
    }
};

template <class Parts>
auto among(const Parts& parts) {
    return [&parts](std::string_view address) {
        return std::any_of(parts.begin(), parts.end(),
                           [&](const auto& part) { return part->address() == address; });
    };
}

} // namespace

unsigned Pipeline::number_of(std::string_view address) const {
    for (const auto& [number, stage] : stages_) {
        if (stage->identity().address == address) {
            return number;
        }
    }
    return 0;
}

Result<std::optional<config::Keyring>> Pipeline::keyring_of(const config::Setting& setting) const {
    if (setting.where == "default" && !std::filesystem::exists(setting.value)) {
        return std::nullopt;
    }
    auto read = read_keyring(setting.value);
    if (read) {
        return std::optional(std::move(*read));
    }
    // The keyring is root's alone: a daemon that runs as another user keeps what it has read.
    if (read.error().what.find("ermission denied") != std::string::npos) {
        log::warning("the keyring stays as it was", {{"reason", explained(read.error().what)}});
        return std::nullopt;
    }
    return fail(setting.where + ": " + read.error().what);
}

Result<void> Pipeline::change(const config::Settings& from, const config::Settings& to) {
    auto keyring = keyring_of(to.keyring);
    if (!keyring) {
        return tl::unexpected(keyring.error());
    }
    for (const auto& listener : listeners_) {
        if (has(from.listen, listener->address()) && !has(to.listen, listener->address())) {
            continue; // goes anyway
        }
        if (auto good = listener->check_files(); !good) {
            return fail(explained(good.error().what));
        }
    }
    Undo undo;
    auto listeners = Exchange{from.listen,
                              to.listen,
                              among(listeners_),
                              [this](std::string_view a) { return add_listener(a); },
                              [this](std::string_view a) { return remove_listener(a); },
                              undo}
                         .run();
    if (!listeners) {
        return tl::unexpected(listeners.error());
    }
    auto sinks = Exchange{from.sink,
                          to.sink,
                          among(sinks_),
                          [this](std::string_view a) { return add_sink(a); },
                          [this](std::string_view a) { return remove_sink(a); },
                          undo}
                     .run();
    if (!sinks) {
        return tl::unexpected(sinks.error());
    }
    const Change remove = [this](std::string_view a) {
        return remove_finder(a) ? Result<void>() : remove_source(number_of(a));
    };
    auto sources =
        Exchange{from.source,
                 to.source,
                 [this](std::string_view a) { return number_of(a) != 0 || finder(a) != finders_.end(); },
                 [this](std::string_view a) { return add_configured_source(a).map([](unsigned) {}); },
                 remove,
                 undo}
            .run();
    if (!sources) {
        return tl::unexpected(sources.error());
    }
    undo.forget();

    for (const auto& address : *listeners) {
        static_cast<void>(remove_listener(address));
    }
    for (const auto& address : *sinks) {
        static_cast<void>(remove_sink(address));
    }
    for (const auto& address : *sources) {
        static_cast<void>(remove(address));
    }
    if (*keyring) {
        use_keyring(std::move(**keyring));
    }
    reload_files();
    keep_reserve(to.reserve);
    pool_.serve(); // it may keep less now
    return {};
}

} // namespace ekey
