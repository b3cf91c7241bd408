// Who may use a listener: by network (TCP), or by user and group (Unix).
#pragma once

#include <array>
#include <string>
#include <vector>

#include <sys/types.h>

#include "ekeyd/config/address.h"
#include "ekeyd/listeners/network.h"
#include "protocol/result.h"

namespace ekey {

// Rules on networks. The most specific network that holds an address decides, in whatever order they were
// given; who is in none may come in when no allow= was given, and is refused when there is one.
class NetworkAccess {
  public:
    static constexpr std::array<std::string_view, 2> parameters{"allow", "deny"};

    // Reads allow=NETWORK and deny=NETWORK, each any number of times. Refuses what is no network, and a
    // network that is both allowed and denied.
    static Result<NetworkAccess> read(const config::Address& address);

    bool open() const { return rules_.empty(); } // everyone may come in
    bool admits(const IpAddress& peer) const;

  private:
    struct Rule {
        IpNetwork network;
        bool allow;
    };
    std::vector<Rule> rules_; // the longest prefix first
    bool others_ = true;
};

// Rules on the users and groups of Unix peers: who is one of the users or in one of the groups may come in;
// everyone, when none was named. The superuser is no exception.
class PeerAccess {
  public:
    static constexpr std::array<std::string_view, 2> parameters{"allow-uid", "allow-gid"};

    // Reads allow-uid=NAME and allow-gid=NAME, names or numbers, each any number of times. Looks no name up.
    static PeerAccess read(const config::Address& address);
    // Turns names into numbers, once; says which name is unknown.
    Result<void> look_up();

    bool open() const { return users_.empty() && groups_.empty(); }
    // By the credentials that the peer had when it connected (SO_PEERCRED), with its supplementary groups
    // (SO_PEERGROUPS, Linux 4.13). A peer of which the kernel does not tell them is refused.
    bool admits(int socket) const;
    bool admits(uid_t user, const std::vector<gid_t>& groups) const;

  private:
    std::vector<std::string> users_, groups_;
    std::vector<uid_t> uids_;
    std::vector<gid_t> gids_;
};

} // namespace ekey
