#include "tests/softkey/command.h"

#include <algorithm>

#include <sodium.h>

namespace ekey::softkey {

Command CommandReader::next(Byte byte) {
    if (byte == 0x03) {
        clear();
        return Command::reset;
    }
    switch (state_) {
    case State::idle: return begin(byte);
    case State::session_nonce: return take_nonce(byte, Command::session_rekey);
    case State::long_term_nonce: return take_nonce(byte, Command::long_term_rekey);
    case State::mac: return take_mac(byte);
    }
    return refuse();
}

void CommandReader::clear() {
    state_ = State::idle;
    quad_size_ = 0;
    padded_ = false;
}

Command CommandReader::begin(Byte byte) {
    nonce_.clear();
    switch (byte) {
    case 'R':
    case 'r': return Command::reset;
    case 'K':
    case 'k': state_ = State::session_nonce; return Command::none;
    case 'L':
    case 'l': state_ = State::long_term_nonce; return Command::none;
    case 'M':
    case 'm': state_ = State::mac; return Command::none;
    default: return Command::unexpected;
    }
}

Command CommandReader::take_nonce(Byte byte, Command complete) {
    if (byte == '.' && quad_size_ == 0) {
        clear();
        return complete;
    }
    if (!take_quad_character(byte) || nonce_.size() > nonce_limit) {
        return refuse();
    }
    return Command::none;
}

Command CommandReader::take_mac(Byte byte) {
    if (!take_quad_character(byte) || padded_) {
        return refuse();
    }
    if (nonce_.size() < mac_.size()) {
        return Command::none;
    }
    std::copy_n(nonce_.begin(), mac_.size(), mac_.begin());
    nonce_.clear();
    clear();
    return Command::long_term_mac;
}

Command CommandReader::refuse() {
    clear();
    return Command::unexpected;
}

bool CommandReader::take_quad_character(Byte byte) {
    if (padded_) {
        return false;
    }
    const bool letter = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
                        (byte >= '0' && byte <= '9') || byte == '+' || byte == '/';
    if (!letter && !(byte == '=' && quad_size_ >= 2)) {
        return false;
    }
    quad_[quad_size_++] = static_cast<char>(byte);
    if (quad_size_ < quad_.size()) {
        return true;
    }
    quad_size_ = 0;
    padded_ = byte == '=';
    std::array<Byte, 3> bytes{};
    std::size_t size = 0;
    if (sodium_base642bin(bytes.data(), bytes.size(), quad_.data(), quad_.size(), nullptr, &size, nullptr,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return false;
    }
    nonce_.insert(nonce_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    return true;
}

} // namespace ekey::softkey
