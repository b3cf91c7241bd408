#include "ekeyd/exchange.h"

#include <algorithm>

#include "ekeyd/config/address.h"
#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

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

} // namespace

Undo::~Undo() {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
        (*step)();
    }
}

bool has(const std::vector<config::Setting>& list, std::string_view value) {
    return std::any_of(list.begin(), list.end(), [&](const auto& setting) { return setting.value == value; });
}

std::string explained(const std::string& reason) {
    const bool refused = reason.find("ermission denied") != std::string::npos ||
                         reason.find("not permitted") != std::string::npos ||
                         reason.find("Read-only") != std::string::npos;
    return refused ? reason + " (a running ekeyd has given up rights that it had when it began: "
                              "this may need a restart)"
                   : reason;
}

Result<void> Exchange::put(const config::Setting& setting) {
    if (auto added = add(setting.value); !added) {
        return fail(setting.where + ": " + explained(added.error().what));
    }
    undo.by([remove = remove, value = setting.value] { static_cast<void>(remove(value)); });
    return {};
}

void Exchange::take(const std::string& value) {
    static_cast<void>(remove(value)); // it is present
    undo.by([add = add, value] {
        if (auto back = add(value); !back) {
            log::error("could not be taken back", {{"address", value}, {"reason", back.error().what}});
        }
    });
}

// Those in whose place it is to be go before it. False: there are none.
bool Exchange::make_room(std::vector<std::string>& gone, const config::Setting& setting) {
    bool any = false;
    std::erase_if(gone, [&](const std::string& old) {
        const bool same = same_place(old, setting.value);
        any = any || same;
        if (!same || (step_aside && step_aside(old))) {
            return false;
        }
        take(old);
        return true;
    });
    return any;
}

Result<bool> Exchange::replaced(std::vector<std::string>& gone, const config::Setting& setting) {
    for (auto old = gone.begin(); replace && old != gone.end(); ++old) {
        const auto done = replace(*old, setting.value);
        if (!done) {
            return fail(setting.where + ": " + explained(done.error().what));
        }
        if (*done) {
            gone.erase(old);
            return true;
        }
    }
    return false;
}

Result<void> Exchange::bring_in(std::vector<std::string>& gone, const config::Setting& setting) {
    const auto done = replaced(gone, setting);
    if (!done) {
        return tl::unexpected(done.error());
    }
    if (*done) {
        return {};
    }
    if (alone) {
        make_room(gone, setting);
        return put(setting);
    }
    auto added = put(setting);
    if (!added && make_room(gone, setting)) { // its place may be that of one that goes
        added = put(setting);
    }
    return added;
}

Result<std::vector<std::string>> Exchange::run() {
    std::vector<std::string> gone;
    for (const auto& setting : from) {
        if (!has(to, setting.value) && present(setting.value)) {
            gone.push_back(setting.value);
        }
    }
    for (const auto& setting : to) {
        if (present(setting.value)) {
            continue;
        }
        if (auto done = bring_in(gone, setting); !done) {
            return tl::unexpected(done.error());
        }
    }
    return gone;
}

} // namespace ekey
