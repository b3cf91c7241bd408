#include "tests/softkey/device.h"

#include <algorithm>
#include <cstdio>

namespace ekey::softkey {

using entropykey::PacketType;

namespace {

constexpr std::size_t usb_packet = 64; // a full-speed bulk endpoint's
constexpr Duration info_interval = std::chrono::seconds(1);
// How often a key that waits for a session key says so: with every block, but within these bounds, because a
// host may wait for it (1.1.5 does) and a log may fill with it.
constexpr Duration shortest_request_interval = std::chrono::milliseconds(250);
constexpr Duration longest_request_interval = std::chrono::seconds(1);

Duration interval_of(double rate) {
    return rate == 0 ? Duration::zero()
                     : std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / rate));
}

} // namespace

Device::Device(const Identity& identity, Noise& noise, Noise& nonces, std::vector<Fault> faults, double rate,
               DeviceOwner& owner)
    : identity_(identity), noise_(noise), nonces_(nonces), faults_(std::move(faults)), begun_(faults_.size()),
      interval_(interval_of(rate)), owner_(owner) {}

void Device::power_on(Time now) {
    powered_ = true;
    unlocked_.reset();
    silent_until_.reset();
    cut_.reset();
    commands_.clear();
    report_.power_on();
    discard_output();
    session_open_ = false;
    sequence_ = 0;
    set_session_key(entropykey::SessionKey());
    // The first block must be made and tested.
    next_packet_ = now + std::min(block_time(), longest_request_interval);
    next_request_ = next_packet_;
    next_info_ = now + info_interval;
    begin_line_faults();
    noise_awaited_ = false;
    noise_.power_on();
    noise_changed(now);
}

void Device::noise_changed(Time now) {
    if (!powered_) {
        return;
    }
    if (noise_awaited_) {
        noise_awaited_ = false;
        next_packet_ = std::max(next_packet_, now); // what did not come in time is not made up for
    }
    if (noise_.failure() != '0' && report_.failure() == '0') {
        owner_.on_note("the noise has failed its tests at packet " + std::to_string(packets_) + ": code " +
                       noise_.failure());
        stop_generators(noise_.failure());
    }
}

void Device::receive(ByteView bytes, Time now) {
    if (!powered_ || (silent_until_ && now < *silent_until_)) {
        return;
    }
    const bool could_send = may_send();
    while (!bytes.empty()) {
        const ByteView packet = bytes.first(std::min(bytes.size(), usb_packet));
        bytes = bytes.subspan(packet.size());
        for (const Byte byte : packet) {
            const Command command = commands_.next(byte);
            switch (command) {
            case Command::none: break;
            case Command::reset: reset(); break;
            case Command::session_rekey: answer_session_rekey(); break;
            case Command::long_term_mac: answer_long_term_mac(); break;
            case Command::long_term_rekey: answer_long_term_rekey(); break;
            case Command::unexpected: answer_unexpected(byte); break;
            }
            if (command == Command::unexpected) {
                break; // the rest of this USB packet is dropped
            }
        }
    }
    if (!could_send) {
        next_packet_ = std::max(next_packet_, now); // the time without a key is not made up for
    }
}

void Device::reset() {
    session_open_ = false;
    sequence_ = 0;
    unlocked_.reset();
    set_session_key(entropykey::SessionKey());
    emit_binary(PacketType::serial, 0, identity_.serial.bytes); // protocol version 0
}

void Device::answer_session_rekey() {
    if (report_.failure() != '0') {
        emit_text(PacketType::generators_bad, "Generators have gone bad, rekeying abandoned.");
        return;
    }
    begin_not_answering();
    if (unanswered_left_ > 0) {
        --unanswered_left_;
        return;
    }
    std::array<Byte, entropykey::block_size> own{};
    if (!nonces_.fill(own)) {
        return;
    }
    const ByteView theirs = commands_.nonce();
    emit_binary(PacketType::session_key, static_cast<std::uint16_t>(theirs.size()), own);
    set_session_key(entropykey::derive_session_key(identity_.serial, identity_.long_term_key, own, theirs));
    session_open_ = true;
    sequence_ = 0;
    // ekeyd 1.1.5 cannot answer `stats` before it has seen one of each.
    while (report_.turn() < Report::kinds) {
        emit_text(PacketType::info, entropykey::encode_info(report_.next()));
    }
}

void Device::answer_long_term_mac() {
    unlocked_ = commands_.mac();
    emit_text(PacketType::long_term_unlocked, "Long-term rekey unlocked");
}

void Device::answer_long_term_rekey() {
    const auto given = std::exchange(unlocked_, std::nullopt);
    const ByteView theirs = commands_.nonce();
    if (!given) {
        emit_text(PacketType::long_term_failed, "Long-term rekey locked-out");
        return;
    }
    if (!equal_constant_time(
            *given, entropykey::long_term_nonce_mac(identity_.serial, identity_.master_key, theirs))) {
        emit_text(PacketType::long_term_failed, "Nonce MAC does not match");
        return;
    }
    if (report_.failure() != '0') {
        emit_text(PacketType::generators_bad, "Generators have gone bad, rekeying abandoned.");
        return;
    }
    std::array<Byte, entropykey::block_size> own{};
    if (!nonces_.fill(own)) {
        return;
    }
    const auto key = entropykey::derive_long_term_key(identity_.serial, identity_.master_key, own, theirs);
    // Kept before the host hears of it: a host that has the new key must not meet a device that lost it.
    if (!owner_.keep_long_term_key(key)) {
        emit_text(PacketType::long_term_failed, "Long-term key cannot be kept");
        return;
    }
    emit_binary(PacketType::long_term_key, static_cast<std::uint16_t>(theirs.size()), own);
    identity_.long_term_key = key;
}

void Device::answer_unexpected(Byte byte) {
    std::array<char, 50> text{};
    std::snprintf(text.data(), text.size(), "Unknown Input Character 0x%02x", byte);
    emit_text(PacketType::unexpected, text.data());
}

void Device::set_session_key(const entropykey::SessionKey& key) {
    mac_.emplace(identity_.serial, key);
    pad_.emplace(identity_.serial, key);
}

Time Device::deadline() const {
    if (!powered_) {
        return Time::max();
    }
    if (silent_until_) {
        return *silent_until_;
    }
    if (cut_) {
        return Time::max(); // what is left to do is to be read
    }
    Time next = next_info_;
    if (report_.failure() == '0' && !noise_ended_) {
        if (!may_send()) {
            next = std::min(next, next_request_);
        } else if (room() && !noise_awaited_) {
            next = std::min(next, next_packet_);
        }
    }
    return next;
}

void Device::handle_timeout(std::size_t unread, Time now) {
    if (!powered_ || now < deadline()) {
        return;
    }
    if (silent_until_) {
        silent_until_.reset();
        next_packet_ = next_info_ = now;
        owner_.on_note("fault silent ends at packet " + std::to_string(packets_));
    }
    send_due_packets(now);
    const bool heard = unread == 0 && output_.empty();
    ask_for_rekey(heard, now);
    send_info(heard, now);
}

void Device::send_due_packets(Time now) {
    while (powered_ && !silent_until_ && report_.failure() == '0' && !noise_ended_ && may_send() && room() &&
           !noise_awaited_ && next_packet_ <= now) {
        next_packet_ += interval_;
        send_packet(now);
        if (!may_send()) {
            next_request_ = now;
        }
    }
}

void Device::ask_for_rekey(bool heard, Time now) {
    if (!powered_ || silent_until_ || report_.failure() != '0' || noise_ended_ || may_send() ||
        now < next_request_) {
        return;
    }
    next_request_ = now + std::clamp(block_time(), shortest_request_interval, longest_request_interval);
    // The first one after the last sequence number is no repetition.
    if (heard || sequence_ > entropykey::last_sequence) {
        emit_text(PacketType::rekey_needed, "Unable to send entropy. Please re-key session.");
    }
}

void Device::send_info(bool heard, Time now) {
    if (!powered_ || silent_until_ || now < next_info_) {
        return;
    }
    next_info_ = now + info_interval;
    if (heard || (may_send() && room())) {
        if (const auto counted = noise_.fips()) {
            report_.set_fips(*counted);
        }
        emit_text(PacketType::info, entropykey::encode_info(report_.next()));
    }
}

ByteView Device::pending_output() const {
    return ByteView(output_).subspan(output_begin_);
}

void Device::consume_output(std::size_t written, Time now) {
    const bool was_full = !room();
    output_begin_ += written;
    if (output_begin_ == output_.size()) {
        discard_output();
        if (cut_) {
            power_off(*cut_);
        }
    } else if (output_begin_ >= output_limit) {
        output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(output_begin_));
        output_begin_ = 0;
    }
    if (was_full && room()) {
        next_packet_ = std::max(next_packet_, now); // no rush to catch up with what was held back
    }
}

void Device::change_host(Time now) {
    discard_output();
    next_packet_ = std::max(next_packet_, now);
}

void Device::discard_output() {
    output_.clear();
    output_begin_ = 0;
}

void Device::emit(const entropykey::FrameBytes& frame) {
    output_.insert(output_.end(), frame.begin(), frame.end());
}

void Device::emit_text(PacketType type, std::string_view text) {
    entropykey::FrameBytes frame{};
    entropykey::encode_text(frame, type, text, *mac_);
    emit(frame);
}

void Device::emit_binary(PacketType type, std::uint16_t sub_code, ByteView bytes) {
    entropykey::FrameBytes frame{};
    entropykey::encode_binary(frame, type, sub_code, bytes, *mac_);
    emit(frame);
}

} // namespace ekey::softkey
