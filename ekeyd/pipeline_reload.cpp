// A configuration takes the place of another while the daemon serves: all of it, or nothing.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "ekeyd/exchange.h"
#include "ekeyd/pipeline.h"
#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

template <class Parts>
auto among(const Parts& parts) {
    return [&parts](std::string_view address) {
        return std::any_of(parts.begin(), parts.end(),
                           [&](const auto& part) { return part->address() == address; });
    };
}

void tell_lost(std::string_view address, const std::string& reason) {
    log::error("could not be taken back", {{"address", address}, {"reason", reason}});
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

Result<Pipeline::NewKeyring> Pipeline::keyring_of(const config::Setting& before,
                                                  const config::Setting& now) const {
    if (now.where == "default" && !std::filesystem::exists(now.value)) {
        return NewKeyring{};
    }
    auto read = read_keyring(now.value);
    if (read && read->size() == 0 && !read->skipped().empty()) { // is this a keyring?
        return fail(now.where + ": keyring " + now.value + " has no key in it; " + read->skipped().front());
    }
    if (read) {
        const bool emptied = read->size() == 0 && keyring_.size() > 0;
        return NewKeyring{std::move(*read), emptied ? "the keyring has no keys any more" : ""};
    }
    // The keyring is root's alone: a daemon that runs as another user keeps what it has read of it.
    const std::string why = explained(read.error().what);
    if (now.value == before.value && why != read.error().what) {
        return NewKeyring{std::nullopt, "the keyring stays as it was: " + why};
    }
    return fail(now.where + ": " + why);
}

std::vector<std::unique_ptr<Listener>>::iterator Pipeline::listener(std::string_view address) {
    return std::find_if(listeners_.begin(), listeners_.end(),
                        [&](const auto& one) { return one->address() == address; });
}

Result<void> Pipeline::swap_listener(std::unique_ptr<Listener>& now, std::unique_ptr<Listener>& next) {
    Sockets sockets = now->cease();
    const auto from = config::parse_address(now->address()), to = config::parse_address(next->address());
    if (auto changed = change_access(sockets, *from, *to); !changed) {
        now->listen(std::move(sockets));
        return changed;
    }
    next->listen(std::move(sockets));
    if (passed_ != nullptr) {
        passed_->hand_on(now->address(), next->address());
    }
    for (KeptClient& client : now->let_go()) {
        next->take_over(std::move(client));
    }
    std::swap(now, next);
    return {};
}

Result<bool> Pipeline::replace_listener(const std::string& old, const std::string& text, Before& before,
                                        Undo& undo) {
    const auto address = config::parse_address(text);
    if (!address || without_parameters(old) != without_parameters(text)) {
        return false;
    }
    auto made = prepare_listener(*address);
    if (!made) {
        return tl::unexpected(made.error());
    }
    auto& other = before.listeners.emplace_back(std::move(*made));
    if (auto swapped = swap_listener(*listener(old), other); !swapped) {
        return tl::unexpected(swapped.error());
    }
    undo.by([this, text, &other] {
        if (auto back = swap_listener(*listener(text), other); !back) {
            tell_lost(text, back.error().what);
        }
    });
    return true;
}

bool Pipeline::let_step_aside(const std::string& address, Before& before, Undo& undo) {
    Listener& one = **listener(address);
    Sockets& sockets = before.sockets.emplace_back(one.cease());
    if (!sockets.step_aside()) {
        one.listen(std::move(sockets));
        return false;
    }
    undo.by([&one, &sockets] {
        if (!sockets.step_back()) {
            tell_lost(one.address(), std::strerror(errno));
        }
        one.listen(std::move(sockets));
    });
    return true;
}

Result<Pipeline::Leaving> Pipeline::change_listeners(const Lists& lists, Before& before, Undo& undo) {
    return Exchange{lists.from.listen,
                    lists.to.listen,
                    among(listeners_),
                    [this](std::string_view a) { return add_listener(a); },
                    [this](std::string_view a) { return remove_listener(a); },
                    undo,
                    [&](const auto& a, const auto& b) { return replace_listener(a, b, before, undo); },
                    [&](const auto& a) { return let_step_aside(a, before, undo); }}
        .run();
}

Result<Pipeline::Leaving> Pipeline::change_sinks(const Lists& lists, Undo& undo) {
    return Exchange{lists.from.sink,
                    lists.to.sink,
                    among(sinks_),
                    [this](std::string_view a) { return add_sink(a); },
                    [this](std::string_view a) { return remove_sink(a); },
                    undo,
                    {},
                    // Two may write to one place for a moment. Opened again by a daemon that may do less now,
                    // the old one could be lost.
                    [](const auto&) { return true; }}
        .run();
}

Result<Pipeline::Leaving> Pipeline::change_sources(const Lists& lists, Undo& undo) {
    Exchange exchange{lists.from.source,
                      lists.to.source,
                      [this](std::string_view a) { return number_of(a) != 0 || finder(a) != finders_.end(); },
                      [this](std::string_view a) { return add_configured_source(a).map([](unsigned) {}); },
                      [this](std::string_view a) { return remove_configured_source(a); },
                      undo};
    exchange.alone = true;
    return exchange.run();
}

Result<void> Pipeline::remove_configured_source(std::string_view address) {
    return remove_finder(address) ? Result<void>() : remove_source(number_of(address));
}

Result<void> Pipeline::check_files(const Lists& lists) const {
    for (const auto& listener : listeners_) {
        if (has(lists.from.listen, listener->address()) && !has(lists.to.listen, listener->address())) {
            continue; // goes anyway
        }
        if (auto good = listener->check_files(); !good) {
            return fail(explained(good.error().what));
        }
    }
    return {};
}

Result<std::string> Pipeline::change(const config::Settings& from, const config::Settings& to) {
    const Lists lists{from, to};
    auto keyring = keyring_of(from.keyring, to.keyring);
    if (!keyring) {
        return tl::unexpected(keyring.error());
    }
    if (auto good = check_files(lists); !good) {
        return tl::unexpected(good.error());
    }
    Before before; // outlives what may have to go back to it
    Undo undo;
    const auto listeners = change_listeners(lists, before, undo);
    if (!listeners) {
        return tl::unexpected(listeners.error());
    }
    const auto sinks = change_sinks(lists, undo);
    if (!sinks) {
        return tl::unexpected(sinks.error());
    }
    const auto sources = change_sources(lists, undo);
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
        static_cast<void>(remove_configured_source(address));
    }
    before.listeners.clear(); // with those of their clients that could not go over
    if (keyring->keyring) {
        use_keyring(std::move(*keyring->keyring));
    }
    reload_files();
    keep_reserve(to.reserve);
    pool_.serve(); // it may keep less now
    return keyring->remark;
}

} // namespace ekey
