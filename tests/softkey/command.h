// What a host says to an Entropy Key: a byte stream of commands, read one byte at a time.
// Source: README.protocol of ekeyd 1.1.5, "Communication from the host to the device".
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "protocol/bytes.h"
#include "protocol/entropykey/frame.h"

namespace ekey::softkey {

enum class Command {
    none,            // nothing complete yet
    reset,           // 0x03 always, R or r between commands
    session_rekey,   // K or k, base64 nonce, '.'
    long_term_mac,   // M or m, 8 base64 characters
    long_term_rekey, // L or l, base64 nonce, '.'
    unexpected,      // a byte that fits nowhere: the rest of its USB packet is to be dropped
};

class CommandReader {
  public:
    // As much as the 12 bits of the answer's sub-code can count.
    static constexpr std::size_t nonce_limit = 4095;

    // Takes one byte. The accessors below tell the details until the next call.
    Command next(Byte byte);
    void clear(); // forgets a command that is not complete

    ByteView nonce() const { return nonce_; }
    const std::array<Byte, entropykey::mac_size>& mac() const { return mac_; }

  private:
    enum class State { idle, session_nonce, mac, long_term_nonce };

    Command begin(Byte byte);
    Command take_nonce(Byte byte, Command complete);
    Command take_mac(Byte byte);
    Command refuse();
    bool take_quad_character(Byte byte); // false: not base64 here

    State state_ = State::idle;
    std::array<char, 4> quad_{};
    std::size_t quad_size_ = 0;
    bool padded_ = false; // a quad with '=' ends the nonce
    std::vector<Byte> nonce_;
    std::array<Byte, entropykey::mac_size> mac_{};
};

} // namespace ekey::softkey
