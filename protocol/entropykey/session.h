// The host's side of a session with one Entropy Key: bytes in, events and bytes out. No socket, no clock.
// Source of the rules: protocol version 0, as published by the vendor (README.protocol of ekeyd 1.1.5). Where
// they leave the host free, transitions.h says what this one does, and timing (below) when.
//
// Use: start(now) once the device is open; write pending_output() to it; feed what it sends to receive();
// call handle_timeout(now) at deadline(). After any of these calls take the events that are left with
// receive({}, now) until it answers monostate. A Session holds keys: keep it in locked memory (make_locked).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "protocol/bytes.h"
#include "protocol/entropykey/frame.h"
#include "protocol/entropykey/keys.h"
#include "protocol/entropykey/packet.h"

namespace ekey::entropykey {

// Ours, not the protocol's.
namespace timing {
using namespace std::chrono_literals;
// The serial number needs nothing that the device does not have at hand; one second covers a busy host.
// Doubled after each try up to half a minute, so that a port with something else behind it is left nearly
// alone.
inline constexpr Duration reset_answer = 1s, longest_pause = 30s;
// The K frame needs 32 bytes of fresh entropy: 10 ms at the devices' rate, and more just after power-up.
// Doubled with each reset that has led to no session, as above, so that a slow device or link is waited for
// in the end.
inline constexpr Duration nonce_answer = 2s;
// A running device sends about 86 frames a second; a device that has just got its key first fills and tests a
// block of 20,000 bits, which takes it about one second.
inline constexpr Duration silence = 5s;
// A frame spoilt on the wire looks like a wrong key, so it is tried again soon at first; nothing is gained by
// asking a device with another key often.
inline constexpr Duration wrong_key_first = 5s, wrong_key_longest = 5min;
// Only a power cycle mends a failed device, and that announces itself; asking is for the case it was not
// seen.
inline constexpr Duration self_stopped = 60s;
// One bad MAC is noise on the wire. Four in a row are another session key.
inline constexpr unsigned bad_macs_in_a_row = 4;
// A session that is lost before it has given entropy for about a second was no good. After the second such
// one in a row the next reset waits, as after those that had no answer.
inline constexpr unsigned frames_of_a_good_session = 86;
} // namespace timing

enum class State {
    idle,         // not started
    resetting,    // reset sent (or to be sent at the deadline), waiting for the serial number
    awaiting_key, // serial known; the owner is to call provide_key() or refuse_key()
    no_key,       // the keyring has no long-term key for this serial
    rekeying,     // nonce sent, waiting for the K frame (entropy under the old session key still counts)
    confirming,   // K frame seen: the next frame's MAC decides whether the long-term key is right
    running,      // entropy flows
    wrong_key,    // the long-term key is not the device's; tried again, rarely
    self_stopped, // the device says that its generators have failed; only a power cycle clears that
};
std::string_view name(State state);

// Events. Views are valid until the next call on the session that answers no event.
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
// The answer to a reset tells a serial number that is no use. The session goes on asking.
struct NoUse {
    std::optional<unsigned> version; // of a protocol that is not known here; none: the frame is not authentic
};
using Event = std::variant<std::monostate, NeedKey, Entropy, Info, DeviceFailed, StateChanged, NoUse>;

// Totals since construction.
struct Counters {
    std::uint64_t bytes_read = 0, bytes_written = 0;
    std::uint64_t frames_ok = 0, framing_errors = 0, skipped_bytes = 0;
    std::uint64_t packets_ok = 0, packet_errors = 0; // MAC right; MAC wrong or contents senseless
    std::uint64_t replayed = 0;                      // sequence numbers at or below the last: refused
    std::uint64_t missed = 0;                        // sequence numbers jumped over: frames lost on the way
    std::uint64_t resets = 0, rekeys = 0, nonces = 0, unexpected_input = 0;
    std::uint64_t entropy_bytes = 0;
    std::uint64_t frame_byte_last = 0; // where in the stream the newest frame began, in bytes
};

enum class Input;
enum class Action;

class Session {
  public:
    // Fills its argument with random bytes. A nonce is 12 bytes: the first four are random once and counted
    // up from there, so that nonces of one session differ even when the random source fails; eight are
    // random.
    using RandomSource = void (*)(ByteSpan);
    explicit Session(RandomSource random);

    void start(Time now); // (again): forget everything but the counters, reset the device

    struct Step {
        std::size_t used; // bytes of `in` consumed; 0 only when `in` is empty or an event was left to take
        Event event;      // monostate: nothing to report
    };
    // Consumes at most one frame. Call until `in` is used up AND the event is monostate (several events can
    // come from one frame, or from one of the other calls). Accepts any bytes.
    Step receive(ByteView in, Time now);

    // Answers NeedKey; later, when the keyring changed. In awaiting_key and no_key it starts the session; in
    // wrong_key it starts again with a reset and NeedKey; in between it serves from the next re-key on;
    // without a known serial number it does nothing.
    void provide_key(const LongTermKey& key, Time now);
    void refuse_key(Time now); // means nothing but in awaiting_key

    Time deadline() const { return deadline_; } // Time::max() when none
    // Asks again when an answer did not come (backing off), or does nothing before the deadline.
    Event handle_timeout(Time now);
    // To be called when the owner reads on after it had stopped reading by itself (back-pressure): that
    // silence was not the device's.
    void resume(Time now);

    ByteView pending_output() const; // at most 32 bytes; valid until the next call
    void consume_output(std::size_t written);

    // self_stopped covers the rare resets that try whether the device has recovered: it ends with entropy, or
    // with a report without a failure, after a reset.
    State state() const { return failure_ == no_failure ? state_ : State::self_stopped; }
    const std::optional<Serial>& serial() const { return serial_; }
    const InfoReport& info() const { return info_; } // the newest of each report
    const Counters& counters() const { return counters_; }

  private:
    static constexpr unsigned protocol_version = 0;
    static constexpr std::size_t nonce_size = 12; // what hosts have always used
    static constexpr char no_failure = '0', unnamed_failure = '?';

    // In: session.cpp
    void on_frame(const FrameBytes& frame, Time now);
    bool verify(FrameView frame); // leaves an entropy frame's pad in plaintext_
    void on_serial_frame(FrameView frame, Time now);
    void on_useless_serial(std::optional<unsigned> version, Time now);
    void on_bad_mac(Time now);
    void on_packet(const Packet& packet, Time now);
    void on_info(std::string_view text, Time now);

    // What follows: session_actions.cpp
    void handle(Input input, Time now);
    void set_state(State next, Time now);
    void perform(Action action, Time now);
    void reset(Time now);
    void retry(Time now);
    void forget_session();
    void forget_keys();
    void send_nonce();
    void take_session_key();
    void deliver(Time now);
    void stop();

    void announce_state() {
        if (state() != announced_)
            push_state();
    }
    void push_state();
    void push(const Event& event);
    Event pop();
    void drop_events();
    void send(ByteView bytes);

    RandomSource random_;
    FrameReader reader_;
    Counters counters_;

    State state_ = State::idle;
    State announced_ = State::idle; // of the newest StateChanged
    State known_ = State::idle;     // of the newest that the owner took
    Time deadline_ = Time::max();
    unsigned attempts_ = 0;       // resets since the last confirmed session key
    unsigned bad_macs_ = 0;       // in a row
    unsigned delivered_ = 0;      // entropy frames since the last reset
    unsigned brief_sessions_ = 0; // in a row: lost before they had given much
    Duration wrong_key_pause_ = timing::wrong_key_first;
    char reported_ = no_failure; // by the packet that is being handled
    char failure_ = no_failure;  // that the device has not recovered from

    std::optional<Serial> serial_;
    LongTermKey long_term_key_;
    std::optional<FrameMac> mac_;
    std::optional<EntropyPad> pad_; // none under the zero session key: entropy is never sealed with that
    int last_sequence_ = -1;
    std::array<Byte, nonce_size> nonce_{};
    std::uint32_t nonce_count_ = 0;
    InfoReport info_;

    const BinaryPayload* payload_ = nullptr; // of the packet that is being handled
    SecretArray<block_size> plaintext_;
    bool plaintext_held_ = false;

    // One frame brings four events at most; see push().
    std::array<Event, 8> events_;
    std::size_t first_event_ = 0, event_count_ = 0;
    // A reset and a session re-key command are 19 bytes.
    std::array<Byte, 32> output_{};
    std::size_t output_size_ = 0;
};

} // namespace ekey::entropykey
