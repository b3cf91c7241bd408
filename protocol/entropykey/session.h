// The host's side of a session with one Entropy Key: bytes in, events and bytes out. No socket, no clock.
// Source of the rules: protocol version 0, as published by the vendor (README.protocol of ekeyd 1.1.5).
//
// Use: start(now) once the device is open; write pending_output() to it; feed what it sends to receive();
// call handle_timeout(now) at deadline(). A Session holds keys: keep it in locked memory (make_locked).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "protocol/bytes.h"
#include "protocol/entropykey/frame.h"
#include "protocol/entropykey/keys.h"
#include "protocol/entropykey/packet.h"

namespace ekey::entropykey {

enum class State {
    idle,         // not started
    resetting,    // reset sent, waiting for the serial number
    awaiting_key, // serial known; the owner is to call provide_key() or refuse_key()
    no_key,       // the keyring has no long-term key for this serial
    rekeying,     // nonce sent, waiting for the K frame (entropy under the old session key still counts)
    confirming,   // K frame seen: the next frame's MAC decides whether the long-term key is right
    running,      // entropy flows
    wrong_key,    // the long-term key is not the device's; tried again, rarely
    self_stopped, // the device says that its generators have failed; only a power cycle clears that
};
std::string_view name(State state);

// Events. Views are valid until the next call on the session.
struct NeedKey {
    Serial serial;
};
struct Entropy {
    ByteView plaintext; // 32 bytes, secret
    std::uint16_t sequence;
};
struct Info {
    InfoReport report;
};
struct DeviceFailed {
    char code; // the S report's failure code '1'..'B', or '?' for a B frame, which carries none
};
struct StateChanged {
    State from, to;
};
using Event = std::variant<std::monostate, NeedKey, Entropy, Info, DeviceFailed, StateChanged>;

// Totals since construction.
struct Counters {
    std::uint64_t bytes_read = 0, bytes_written = 0;
    std::uint64_t frames_ok = 0, framing_errors = 0, skipped_bytes = 0;
    std::uint64_t packets_ok = 0, packet_errors = 0; // MAC right; MAC wrong or contents senseless
    std::uint64_t replayed = 0;                      // sequence numbers at or below the last: refused
    std::uint64_t missed = 0;                        // sequence numbers jumped over: frames lost on the way
    std::uint64_t resets = 0, rekeys = 0, nonces = 0, unexpected_input = 0;
    std::uint64_t entropy_bytes = 0;
    std::uint8_t frame_byte_last = 0;
};

class Session {
  public:
    // `entropy` fills the random part of each nonce; the rest is a counter, so nonces differ even when it
    // fails.
    using RandomSource = void (*)(ByteSpan);
    explicit Session(RandomSource random);

    void start(Time now); // (again): forget everything but the counters, reset the device

    struct Step {
        std::size_t used; // bytes of `in` consumed, at least 1 while `in` is not empty
        Event event;      // monostate: nothing to report
    };
    // Consumes at most one frame. Call until `in` is used up AND the event is monostate (a state change can
    // follow another event without further input). Accepts any bytes.
    Step receive(ByteView in, Time now);

    void provide_key(const LongTermKey& key, Time now);
    void refuse_key(Time now);

    Time deadline() const; // Time::max() when none
    // Asks again when an answer did not come (backing off), or does nothing before the deadline.
    Event handle_timeout(Time now);

    ByteView pending_output() const; // at most 32 bytes
    void consume_output(std::size_t written);

    State state() const;
    const std::optional<Serial>& serial() const;
    const InfoReport& info() const; // the newest of each report
    const Counters& counters() const;
};

} // namespace ekey::entropykey
