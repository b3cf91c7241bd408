#include "protocol/entropykey/base64.h"

#include <array>
#include <cassert>
#include <string_view>

namespace ekey::entropykey::base64 {

namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr Byte foreign = 0xff;

constexpr auto values = [] {
    std::array<Byte, 256> table{};
    table.fill(foreign);
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        table[static_cast<Byte>(alphabet[i])] = static_cast<Byte>(i);
    return table;
}();

// The four values side by side; above 24 bits when one is foreign.
std::uint32_t quad(const Byte* text) {
    const std::uint32_t a = values[text[0]], b = values[text[1]], c = values[text[2]], d = values[text[3]];
    return ((a | b | c | d) & 0xc0) << 24 | a << 18 | b << 12 | c << 6 | d;
}

} // namespace

Byte decode_character(Byte character) {
    return values[character];
}

Byte encode_character(Byte six_bits) {
    return static_cast<Byte>(alphabet[six_bits & 63]);
}

std::optional<std::size_t> decode(ByteView text, ByteSpan out) {
    if (text.size() % 4 != 0)
        return std::nullopt;
    if (text.empty())
        return 0;
    const std::size_t filler = text[text.size() - 1] != '=' ? 0 : text[text.size() - 2] != '=' ? 1 : 2;
    const std::size_t size = text.size() / 4 * 3 - filler;
    if (size > out.size())
        return std::nullopt;

    const Byte* from = text.data();
    Byte* to = out.data();
    std::uint32_t seen = 0;
    for (std::size_t left = size / 3; left != 0; --left, from += 4, to += 3) {
        const std::uint32_t bits = quad(from);
        seen |= bits;
        to[0] = static_cast<Byte>(bits >> 16);
        to[1] = static_cast<Byte>(bits >> 8);
        to[2] = static_cast<Byte>(bits);
    }
    if (filler != 0) {
        const Byte last[4] = {from[0], from[1], filler == 2 ? Byte{'A'} : from[2], Byte{'A'}};
        const std::uint32_t bits = quad(last);
        if ((bits & (filler == 2 ? 0xffffu : 0xffu)) != 0)
            return std::nullopt;
        seen |= bits;
        to[0] = static_cast<Byte>(bits >> 16);
        if (filler == 1)
            to[1] = static_cast<Byte>(bits >> 8);
    }
    return seen < std::uint32_t{1} << 24 ? std::optional(size) : std::nullopt;
}

std::size_t encode(ByteView bytes, ByteSpan out) {
    assert(out.size() >= encoded_size(bytes.size()));
    Byte* to = out.data();
    while (!bytes.empty()) {
        const std::size_t size = bytes.size() < 3 ? bytes.size() : 3;
        std::uint32_t bits = std::uint32_t{bytes[0]} << 16;
        if (size > 1)
            bits |= std::uint32_t{bytes[1]} << 8;
        if (size > 2)
            bits |= bytes[2];
        to[0] = encode_character(static_cast<Byte>(bits >> 18));
        to[1] = encode_character(static_cast<Byte>(bits >> 12 & 63));
        to[2] = size > 1 ? encode_character(static_cast<Byte>(bits >> 6 & 63)) : Byte{'='};
        to[3] = size > 2 ? encode_character(static_cast<Byte>(bits & 63)) : Byte{'='};
        to += 4;
        bytes = bytes.subspan(size);
    }
    return static_cast<std::size_t>(to - out.data());
}

} // namespace ekey::entropykey::base64
