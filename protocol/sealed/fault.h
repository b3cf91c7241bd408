// Why a sealed link has ended.
#pragma once

#include "protocol/bytes.h"

namespace ekey::sealed {

enum class Fault : Byte {
    none,
    too_long,  // a length above what the reader allows
    too_short, // not even room for what a message always has
    forged,    // it does not authenticate: altered, replayed, out of order, or made for another key
    weak_key,  // an X25519 exchange gave zeros: the other side's key is of low order (RFC 7748, section 6.1)
    bad_payload, // the handshake's payload is malformed
    truncated,   // the connection ended within a message, or before the handshake was complete
    looped,      // the server's noise comes from this node itself
    too_far,     // the server's noise has come through as many relays as it may
    exhausted,   // 2^64 - 1 messages went one way (Noise specification, section 5.1)
};

// One clause for a person.
constexpr const char* sentence(Fault fault) {
    switch (fault) {
    case Fault::none: return "no fault";
    case Fault::too_long: return "a message is longer than a sealed link has";
    case Fault::too_short: return "a message is shorter than any of a sealed link";
    case Fault::forged:
        return "a message does not authenticate: it was altered, replayed, out of order, or sealed with "
               "another key";
    case Fault::weak_key: return "the other side's key is one that gives no secret";
    case Fault::bad_payload: return "the handshake holds a malformed description of the other side";
    case Fault::truncated: return "the connection ended in the middle of a message";
    case Fault::looped: return "the server's noise comes from this host: the relays form a loop";
    case Fault::too_far: return "the server's noise has passed as many relays as its hop limit allows";
    case Fault::exhausted: return "the link has carried as many messages as a key may";
    }
    return "";
}

} // namespace ekey::sealed
