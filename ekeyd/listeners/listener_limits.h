// What one listener grants: to whom, to how many, how fast, and for how long without a word.
#pragma once

#include <string_view>
#include <vector>

#include "ekeyd/config/address.h"
#include "ekeyd/listeners/access.h"
#include "ekeyd/listeners/client_networks.h"
#include "ekeyd/listeners/rate.h"
#include "ekeyd/listeners/timeouts.h"

namespace ekey {

struct Limits {
    // A guard against exhaustion, well above what one key can feed; ten thousand clients cost some 3 MB here.
    std::size_t max_clients = 16384;
    NetworkAccess access; // TCP
    PeerAccess peers;     // Unix
    Rate rate;            // a client
    ClientNetworks::Options network;
    Timeouts timeouts;
    bool local = true;       // the pool's reserve is for its clients
    bool mix_writes = false; // accept-writes=mix: what clients write is stirred in, and never credited

    // Reads the parameters of an address that are named below; others are not looked at. Names of users and
    // groups are not looked up: see PeerAccess.
    //
    //     max-clients=N rate=BYTES_PER_S burst=BYTES idle=SECONDS handshake=SECONDS accept-writes=discard|mix
    //     local=yes|no (yes for Unix sockets)
    //     by Unix sockets: allow-uid=NAME allow-gid=NAME
    //     by tcp: allow=NETWORK deny=NETWORK max-clients-network=N rate-network=BYTES_PER_S
    //     burst-network=BYTES
    //            network-prefix4=BITS network-prefix6=BITS
    //
    // A burst is a second's worth when none is given, and never less than the longest answer.
    static Result<Limits> read(const config::Address& address);
    static std::vector<std::string_view> parameters(std::string_view kind);
};

} // namespace ekey
