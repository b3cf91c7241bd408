#include "protocol/entropykey/base64.h"

#include <array>
#include <bit>
#include <cassert>
#include <string_view>

namespace ekey::entropykey::base64 {

namespace {

// The values for each place in a quad, shifted already; above 24 bits for what is foreign.
constexpr std::uint32_t foreign_quad = std::uint32_t{1} << 24;
constexpr auto quads = [] {
    std::array<std::array<std::uint32_t, 256>, 4> tables{};
    for (std::size_t place = 0; place < 4; ++place)
        for (std::size_t c = 0; c < 256; ++c)
            tables[place][c] =
                values[c] == foreign ? foreign_quad : std::uint32_t{values[c]} << (18 - 6 * place);
    return tables;
}();

std::uint32_t quad(const Byte* text) {
    return quads[0][text[0]] | quads[1][text[1]] | quads[2][text[2]] | quads[3][text[3]];
}

std::uint32_t to_big_endian(std::uint32_t word) {
    return std::endian::native == std::endian::big ? word : __builtin_bswap32(word);
}

} // namespace

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
    std::size_t left = size / 3;
    for (; left > 1; --left, from += 4, to += 3) { // one byte more than is meant: the next quad overwrites it
        const std::uint32_t bits = quad(from);
        seen |= bits;
        const std::uint32_t bytes = to_big_endian(bits << 8);
        std::memcpy(to, &bytes, sizeof bytes);
    }
    for (; left != 0; --left, from += 4, to += 3) {
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
    return seen < foreign_quad ? std::optional(size) : std::nullopt;
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
