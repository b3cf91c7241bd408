// Writing a new long-term key into an Entropy Key, the host's side: bytes in, one outcome and bytes out. No
// socket, no clock. Source of the rules: README.protocol of ekeyd 1.1.5, "Long-Term-Rekey ..." and "Long-Term
// re-key command".
//
// Use: start(now) once the device is open; write pending_output() to it; feed what it sends to receive();
// call handle_timeout(now) at deadline(); until outcome() is there. Holds the master key: keep it in locked
// memory.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <variant>

#include "protocol/bytes.h"
#include "protocol/entropykey/frame.h"
#include "protocol/entropykey/keys.h"
#include "protocol/entropykey/packet.h"
#include "protocol/entropykey/session.h"
#include "protocol/result.h"

namespace ekey::entropykey {

class LongTermRekey {
  public:
    struct NewKey {
        Serial serial;
        LongTermKey key;
    };

    // `expected`: the device must have this serial number; none: any. `random` fills the nonce (12 bytes).
    LongTermRekey(const MasterKey& master, std::optional<Serial> expected, Session::RandomSource random);
    LongTermRekey(const LongTermRekey&) = delete;
    LongTermRekey& operator=(const LongTermRekey&) = delete;

    void start(Time now); // once
    // Accepts any bytes; all of them are used. Bytes after the outcome are ignored.
    void receive(ByteView in, Time now);
    Time deadline() const { return deadline_; } // Time::max() when none
    // Tries again from the reset, three times in all; the last deadline is an error. Nothing before the
    // deadline.
    void handle_timeout(Time now);

    ByteView pending_output() const { return ByteView(output_).first(output_size_); } // at most 32 bytes
    void consume_output(std::size_t written);

    // None while it goes on. An error's sentence says what to do; `key_may_have_changed` then tells whether
    // the device could have taken a new key that we do not know: the old one in the keyring may no longer
    // fit, and only a repetition with the same master key helps.
    const std::optional<Result<NewKey>>& outcome() const { return outcome_; }
    bool key_may_have_changed() const { return key_may_have_changed_; }

  private:
    enum class State { idle, resetting, unlocking, rekeying, done };

    void on_frame(FrameView frame, Time now);
    void on_serial(const Packet& packet, Time now);
    void on_new_key(const BinaryPayload& payload);
    void reset(Time now);
    void try_again(Time now, std::string_view reason);
    void unlock(Time now);
    void send_nonce(Time now);
    void finish(Result<NewKey> outcome);
    void send(std::string_view command);

    MasterKey master_;
    std::optional<Serial> expected_;
    Session::RandomSource random_;
    FrameReader reader_;

    State state_ = State::idle;
    Time deadline_ = Time::max();
    unsigned attempts_ = 0;
    Serial serial_;
    std::optional<FrameMac> mac_; // under the zero session key: a reset comes first
    std::array<Byte, 12> nonce_{};
    bool key_may_have_changed_ = false;
    std::optional<Result<NewKey>> outcome_;
    std::array<Byte, 32> output_{};
    std::size_t output_size_ = 0;
};

} // namespace ekey::entropykey
