// The names and keys of an Entropy Key, and how people write them.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey::entropykey {

struct Serial {
    std::array<Byte, 12> bytes{};
    bool operator==(const Serial&) const = default;
    auto operator<=>(const Serial&) const = default;
    std::string base64() const; // 16 characters of the standard alphabet
};
Result<Serial> parse_serial(std::string_view base64);

using SessionKey = SecretArray<32>;
using LongTermKey = SecretArray<32>;
using MasterKey = SecretArray<32>;

// 44 characters of base64. Decoded in constant time (libsodium). Errors say what is wrong, never the key.
Result<LongTermKey> parse_long_term_key(std::string_view base64);
// Writes 44 characters (no terminator).
void write_base64(const LongTermKey& key, std::span<char, 44> out);

// As typed from the card: base64 of 32 bytes, or of 33 whose last is the check byte (CRC-8, polynomial 0x31,
// initial 0xff). Spaces anywhere are ignored. A wrong check byte is an error of its own.
Result<MasterKey> parse_master_key(std::string_view typed);
Byte check_byte(std::span<const Byte, 32> master_key);

} // namespace ekey::entropykey
