// Base64 as Entropy Keys write it: the standard alphabet, `=` as filler, quads of four characters. By table,
// so for what is public on the wire anyway; keys go through libsodium, whose time does not depend on them.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "protocol/bytes.h"

namespace ekey::entropykey::base64 {

constexpr std::size_t encoded_size(std::size_t bytes) {
    return (bytes + 2) / 3 * 4;
}

inline constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
inline constexpr Byte foreign = 0xff;
inline constexpr auto values = [] {
    std::array<Byte, 256> table{};
    table.fill(foreign);
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        table[static_cast<Byte>(alphabet[i])] = static_cast<Byte>(i);
    return table;
}();

// 0..63, or `foreign` when `character` is not of the alphabet (`=` is not).
inline Byte decode_character(Byte character) {
    return values[character];
}
inline Byte encode_character(Byte six_bits) { // only the low six bits count
    return static_cast<Byte>(alphabet[six_bits & 63]);
}

// Decodes whole quads. The number of bytes written, at most text.size() / 4 * 3. None when the size is no
// multiple of four, a character is foreign, filler stands elsewhere than at the end, its unused bits are not
// zero, or `out` is too small.
std::optional<std::size_t> decode(ByteView text, ByteSpan out);
// Writes encoded_size(bytes.size()) characters, no terminator. `out` must hold them. Returns how many.
std::size_t encode(ByteView bytes, ByteSpan out);

} // namespace ekey::entropykey::base64
