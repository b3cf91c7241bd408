// What comes in: bytes to frames, frames to packets, packets to inputs of the table. What follows from an
// input is in session_actions.cpp.
#include "protocol/entropykey/session.h"

#include <cassert>

#include "protocol/entropykey/transitions.h"

namespace ekey::entropykey {

std::string_view name(State state) {
    switch (state) {
    case State::idle: return "idle";
    case State::resetting: return "resetting";
    case State::awaiting_key: return "awaiting key";
    case State::no_key: return "no key";
    case State::rekeying: return "re-keying";
    case State::confirming: return "confirming key";
    case State::running: return "running";
    case State::wrong_key: return "wrong key";
    case State::self_stopped: return "self-stopped";
    }
    return "unknown";
}

Session::Session(RandomSource random) : random_(random) {
    // So that other sessions begin elsewhere.
    random_({reinterpret_cast<Byte*>(&nonce_count_), sizeof nonce_count_});
}

void Session::start(Time now) {
    reader_.clear();
    attempts_ = 0;
    brief_sessions_ = 0;
    wrong_key_pause_ = timing::wrong_key_first;
    failure_ = no_failure;
    serial_.reset();
    info_ = {};
    drop_events();
    handle(Input::start, now);
}

Session::Step Session::receive(ByteView in, Time now) {
    if (event_count_ != 0)
        return {0, pop()};
    if (plaintext_held_) {
        wipe(plaintext_.span());
        plaintext_held_ = false;
    }
    if (in.empty())
        return {0, {}};

    const auto [used, frame] = reader_.next(in);
    counters_.bytes_read += used;
    counters_.frames_ok = reader_.frames();
    counters_.framing_errors = reader_.framing_errors();
    counters_.skipped_bytes = reader_.skipped_bytes();
    if (frame != nullptr)
        on_frame(*frame, now);
    return {used, pop()};
}

void Session::on_frame(const FrameBytes& frame, Time now) {
    counters_.frame_byte_last = counters_.bytes_read - frame_size;
    if (static_cast<PacketType>(frame[content_offset]) == PacketType::serial)
        return on_serial_frame(frame, now);
    if (!mac_) // no session: nothing to verify it with
        return;
    if (!verify(frame))
        return on_bad_mac(now);

    bad_macs_ = 0;
    handle(Input::valid, now);
    if (const auto packet = decode_packet(frame)) {
        ++counters_.packets_ok;
        on_packet(*packet, now);
    } else {
        ++counters_.packet_errors;
    }
}

bool Session::verify(FrameView frame) {
    if (static_cast<PacketType>(frame[content_offset]) != PacketType::entropy || !pad_)
        return mac_->verify(frame);
    plaintext_held_ = true; // wiped before the next frame, whatever becomes of this one
    return pad_->verify_and_make(frame, *mac_, plaintext_.span());
}

// Its MAC is made with the zero key that it announces, so it is understood in every state.
void Session::on_serial_frame(FrameView frame, Time now) {
    if (state_ == State::idle)
        return;
    const auto packet = decode_packet(frame);
    if (!packet)
        return on_useless_serial(std::nullopt, now);
    Serial serial;
    std::memcpy(serial.bytes.data(), packet->payload.bytes.data(), serial.bytes.size());
    if (!FrameMac(serial, SessionKey()).verify(frame))
        return on_useless_serial(std::nullopt, now);
    if (packet->payload.sub_code != protocol_version)
        return on_useless_serial(packet->payload.sub_code, now);

    ++counters_.packets_ok;
    bad_macs_ = 0;
    const bool known = !serial_ || *serial_ == serial;
    serial_ = serial;
    handle(known ? Input::serial : Input::other_serial, now);
}

void Session::on_useless_serial(std::optional<unsigned> version, Time now) {
    if (state_ == State::resetting)
        push(NoUse{version});
    on_bad_mac(now);
}

void Session::on_bad_mac(Time now) {
    ++counters_.packet_errors;
    ++bad_macs_;
    handle(Input::bad_mac, now);
    if (bad_macs_ >= timing::bad_macs_in_a_row) {
        bad_macs_ = 0;
        handle(Input::many_bad_macs, now);
    }
}

void Session::on_packet(const Packet& packet, Time now) {
    payload_ = &packet.payload;
    switch (packet.type) {
    case PacketType::entropy: handle(Input::entropy, now); break;
    case PacketType::info: on_info(packet.text, now); break;
    case PacketType::rekey_needed: handle(Input::rekey_needed, now); break;
    case PacketType::session_key:
        // An answer to another nonce than ours gives a key that we cannot know.
        handle(packet.payload.sub_code == nonce_.size() ? Input::session_key : Input::unexpected, now);
        break;
    case PacketType::generators_bad:
        reported_ = unnamed_failure;
        handle(Input::failure, now);
        break;
    case PacketType::unexpected:
        ++counters_.unexpected_input;
        handle(Input::unexpected, now);
        break;
    case PacketType::serial: // seen to before
    case PacketType::long_term_unlocked:
    case PacketType::long_term_key:
    case PacketType::long_term_failed: break; // not asked for by a session, and harmless to it
    }
    payload_ = nullptr;
}

void Session::on_info(std::string_view text, Time now) {
    const InfoReport report = decode_info(text);
    if (report.temperature)
        info_.temperature = report.temperature;
    if (report.voltage)
        info_.voltage = report.voltage;
    if (report.fips)
        info_.fips = report.fips;
    if (report.generators)
        info_.generators = report.generators;
    push(Info{report});

    if (!report.generators)
        return;
    reported_ = report.generators->failure;
    if (reported_ != no_failure)
        handle(Input::failure, now);
    else if (state_ != State::self_stopped)
        failure_ = no_failure; // after a reset, or there was none
    announce_state();
}

void Session::provide_key(const LongTermKey& key, Time now) {
    const Action action = transition(state_, Input::key).action;
    if (action == Action::send_nonce || action == Action::keep_key)
        long_term_key_ = key;
    handle(Input::key, now);
}

void Session::resume(Time now) {
    if (state_ == State::running || state_ == State::confirming)
        deadline_ = now + timing::silence;
    else if (state_ == State::rekeying)
        deadline_ = now + timing::nonce_answer;
}

void Session::refuse_key(Time now) {
    handle(Input::no_key, now);
}

Event Session::handle_timeout(Time now) {
    if (now >= deadline_)
        handle(Input::timeout, now);
    return pop();
}

ByteView Session::pending_output() const {
    return ByteView(output_).first(output_size_);
}

void Session::consume_output(std::size_t written) {
    assert(written <= output_size_);
    counters_.bytes_written += written;
    output_size_ -= written;
    std::memmove(output_.data(), output_.data() + written, output_size_);
}

} // namespace ekey::entropykey
