#include "protocol/entropykey/longterm.h"

#include <algorithm>
#include <cassert>
#include <string>

namespace ekey::entropykey {

namespace {
using namespace std::chrono_literals;
// A person waits for it: three tries take at most twelve seconds. The L frame needs fresh entropy and a write
// to the device's flash memory; the M frame neither.
constexpr unsigned most_attempts = 3;
constexpr Duration serial_patience = 1s, unlock_patience = 1s, rekey_patience = 3s;

std::string what_it_said(std::string_view text) {
    std::string words;
    for (const char c : text.substr(0, text.find_last_not_of(' ') + 1))
        words += c >= ' ' && c <= '~' ? c : '?'; // it goes to a terminal
    return words;
}

} // namespace

LongTermRekey::LongTermRekey(const MasterKey& master, std::optional<Serial> expected,
                             Session::RandomSource random)
    : master_(master), expected_(expected), random_(random) {}

void LongTermRekey::start(Time now) {
    assert(state_ == State::idle);
    reset(now);
}

void LongTermRekey::receive(ByteView in, Time now) {
    while (!in.empty() && !outcome_) {
        const auto [used, frame] = reader_.next(in);
        in = in.subspan(used);
        if (frame != nullptr)
            on_frame(*frame, now);
    }
}

void LongTermRekey::on_frame(FrameView frame, Time now) {
    const auto packet = decode_packet(frame);
    if (!packet || state_ == State::idle)
        return; // spoilt on the wire: the deadline sees to it
    if (packet->type == PacketType::serial) {
        Serial serial;
        std::memcpy(serial.bytes.data(), packet->payload.bytes.data(), serial.bytes.size());
        const FrameMac mac(serial, SessionKey());
        if (!mac.verify(frame))
            return;
        mac_.emplace(mac);
        serial_ = serial;
        return on_serial(*packet, now);
    }
    // Before the serial number frames may come from a session that the reset has ended since.
    if (state_ == State::resetting || !mac_->verify(frame))
        return;
    switch (packet->type) {
    case PacketType::long_term_unlocked:
        if (state_ == State::unlocking)
            send_nonce(now);
        break;
    case PacketType::long_term_key:
        if (state_ == State::rekeying && packet->payload.sub_code == nonce_.size())
            on_new_key(packet->payload);
        else if (state_ == State::rekeying)
            try_again(now, "lost a part of the nonce");
        break;
    case PacketType::long_term_failed:
        finish(fail("the Entropy Key " + serial_.base64() + " refused a new long-term key (it says \"" +
                    what_it_said(packet->text) + "\"): check that the master key is of this device's card"));
        break;
    case PacketType::generators_bad:
        finish(fail("the Entropy Key " + serial_.base64() +
                    " made no new long-term key because its generators have failed: unplug it, plug it in, "
                    "try again"));
        break;
    case PacketType::unexpected: try_again(now, "does not understand the command"); break;
    default: break;
    }
}

void LongTermRekey::on_serial(const Packet& packet, Time now) {
    if (packet.payload.sub_code != 0)
        return finish(fail("the Entropy Key " + serial_.base64() + " speaks protocol version " +
                           std::to_string(packet.payload.sub_code) + ", and only version 0 is known here"));
    if (expected_ && serial_ != *expected_)
        return finish(fail("this Entropy Key is " + serial_.base64() + ", not " + expected_->base64() +
                           ": choose the other device, or its serial number"));
    switch (state_) {
    case State::resetting: unlock(now); break;
    case State::unlocking: break; // the answer to an earlier reset, late: ours may still come
    case State::rekeying: try_again(now, "was reset in the middle"); break;
    case State::idle:
    case State::done: break;
    }
}

void LongTermRekey::on_new_key(const BinaryPayload& payload) {
    const LongTermKey key =
        derive_long_term_key(serial_, master_, std::span(payload.bytes).first<block_size>(), nonce_);
    key_may_have_changed_ = false;
    finish(NewKey{serial_, key});
}

void LongTermRekey::handle_timeout(Time now) {
    if (now < deadline_)
        return;
    try_again(now, state_ == State::resetting ? "did not tell its serial number" : "did not answer");
}

void LongTermRekey::try_again(Time now, std::string_view reason) {
    if (state_ == State::rekeying)
        key_may_have_changed_ = true;
    if (attempts_ < most_attempts)
        return reset(now);
    const std::string who = mac_ ? "the Entropy Key " + serial_.base64() : "the device";
    finish(fail(who + " " + std::string(reason) + ", " + std::to_string(attempts_) + " times: " +
                (mac_ ? "unplug it, plug it in, try again"
                      : "check that it is an Entropy Key and that no other program has it open")));
}

void LongTermRekey::reset(Time now) {
    ++attempts_;
    state_ = State::resetting;
    deadline_ = now + serial_patience;
    output_size_ = 0;
    send({reinterpret_cast<const char*>(&reset_command), 1});
}

void LongTermRekey::unlock(Time now) {
    state_ = State::unlocking;
    deadline_ = now + unlock_patience;
    random_(nonce_);
    send(long_term_mac_command(long_term_nonce_mac(serial_, master_, nonce_)));
}

void LongTermRekey::send_nonce(Time now) {
    state_ = State::rekeying;
    deadline_ = now + rekey_patience;
    send(long_term_rekey_command(nonce_));
}

void LongTermRekey::finish(Result<NewKey> outcome) {
    state_ = State::done;
    deadline_ = Time::max();
    output_size_ = 0;
    wipe(master_.span());
    outcome_.emplace(std::move(outcome));
}

void LongTermRekey::send(std::string_view command) {
    assert(command.size() <= output_.size() - output_size_);
    std::memcpy(output_.data() + output_size_, command.data(), command.size());
    output_size_ += command.size();
}

void LongTermRekey::consume_output(std::size_t written) {
    assert(written <= output_size_);
    output_size_ -= written;
    std::memmove(output_.data(), output_.data() + written, output_size_);
}

} // namespace ekey::entropykey
