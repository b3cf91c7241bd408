#include "ekeyd/listeners/access.h"

#include <algorithm>
#include <cerrno>

#include <climits>
#include <sys/socket.h>

#include "ekeyd/runtime/account.h"

namespace ekey {

Result<NetworkAccess> NetworkAccess::read(const config::Address& address) {
    NetworkAccess access;
    for (const bool allow : {true, false}) {
        const char* const name = allow ? "allow" : "deny";
        for (const std::string& text : address.values(name)) {
            const auto network = IpNetwork::parse(name, text);
            if (!network) {
                return tl::unexpected(network.error());
            }
            access.rules_.push_back({*network, allow});
            access.others_ = access.others_ && !allow;
        }
    }
    auto& rules = access.rules_;
    std::stable_sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) {
        return a.network.prefix != b.network.prefix ? a.network.prefix > b.network.prefix
                                                    : a.network < b.network;
    });
    const auto twice = std::adjacent_find(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) {
        return a.network == b.network && a.allow != b.allow;
    });
    if (twice != rules.end()) {
        return fail(twice->network.text() + " is both allowed and denied: one of the two must go");
    }
    return access;
}

bool NetworkAccess::admits(const IpAddress& peer) const {
    for (const Rule& rule : rules_) {
        if (rule.network.holds(peer)) {
            return rule.allow;
        }
    }
    return others_;
}

PeerAccess PeerAccess::read(const config::Address& address) {
    PeerAccess access;
    access.users_ = address.values("allow-uid");
    access.groups_ = address.values("allow-gid");
    return access;
}

Result<void> PeerAccess::look_up() {
    for (const std::string& name : users_) {
        const auto user = find_user(name);
        if (!user) {
            return fail("allow-uid: " + user.error().what);
        }
        uids_.push_back(*user);
    }
    for (const std::string& name : groups_) {
        const auto group = find_group(name);
        if (!group) {
            return fail("allow-gid: " + group.error().what);
        }
        gids_.push_back(*group);
    }
    return {};
}

bool PeerAccess::admits(uid_t user, const std::vector<gid_t>& groups) const {
    const auto named = [this](gid_t group) {
        return std::find(gids_.begin(), gids_.end(), group) != gids_.end();
    };
    return open() || std::find(uids_.begin(), uids_.end(), user) != uids_.end() ||
           std::any_of(groups.begin(), groups.end(), named);
}

bool PeerAccess::admits(int socket) const {
    if (open()) {
        return true;
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return false;
    }
    std::vector<gid_t> groups(64); // enough for most; the kernel says how many there are
    size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    int got = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
    if (got != 0 && errno == ERANGE && size <= NGROUPS_MAX * sizeof(gid_t)) {
        groups.resize(size / sizeof(gid_t));
        got = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
    }
    groups.resize(got == 0 ? size / sizeof(gid_t) : 0);
    groups.push_back(peer.gid);
    return admits(peer.uid, groups);
}

} // namespace ekey
