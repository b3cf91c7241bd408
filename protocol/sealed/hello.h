// What the two sides of a link tell each other in the payloads of the handshake, so that noise never comes
// back to where it has been. Its layout is in protocol/sealed/README.md.
#pragma once

#include <vector>

#include "protocol/sealed/fault.h"
#include "protocol/sealed/keys.h"

namespace ekey::sealed {

struct Hello {
    static constexpr Byte our_version = 1;
    static constexpr Byte no_advice = 0xff;
    // Relays between a source and a guest, plenty: home, a central relay, one in each site or rack.
    static constexpr Byte default_hop_limit = 8;
    // Keys of all nodes above, through any number of upstreams: a message has room for them.
    static constexpr std::size_t max_path = 32;
    static constexpr std::size_t header = 4;
    // The longest payload: the longest path, and room for what later versions add.
    static constexpr std::size_t max_size = 1280;

    Byte version = our_version;
    Byte hop_limit = default_hop_limit; // links that the sender's noise may still pass, this one included
    Byte credit = no_advice;            // bits a byte that a client is advised to credit, 0..8
    std::vector<PublicKey> path;        // the sender, then every node that its noise comes from

    bool operator==(const Hello&) const = default;
};

// What a node tells its clients: its own key, and all that its upstreams have told it. None when that is more
// than max_path keys.
std::optional<Hello> offer(const PublicKey& own, Byte hop_limit, std::span<const Hello* const> upstreams);

// Whether a node may take noise of a server that says this: none, looped or too_far.
Fault judge(const Hello& server, const PublicKey& own);

// Writes header + 32 bytes for each key and returns that; `out` has max_size bytes.
std::size_t encode_hello(const Hello& hello, ByteSpan out);
// An empty payload is that of a node that is no relay: no path, and the default hop limit. Bytes after the
// path belong to later versions. None when it is malformed.
std::optional<Hello> decode_hello(ByteView payload);

} // namespace ekey::sealed
