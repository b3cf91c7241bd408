#include "ekeyd/runtime/log_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>

namespace ekey::log {

namespace {

unsigned byte_at(std::string_view text, std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0;
}

struct Character {
    char32_t value;
    std::size_t size; // bytes; 0: no UTF-8
};

// Unicode 15, table 3-7: neither overlong forms nor surrogates.
Character first_character(std::string_view text) {
    const unsigned first = byte_at(text, 0);
    if (first < 0x80) {
        return {first, 1};
    }
    const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4) {
        return {0, 0};
    }
    char32_t value = first & (0xffU >> (size + 1));
    for (std::size_t i = 1; i < size; ++i) {
        const unsigned next = byte_at(text, i);
        if ((next & 0xc0) != 0x80) {
            return {0, 0};
        }
        value = value << 6 | (next & 0x3f);
    }
    const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
    if (overlong || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return {0, 0};
    }
    return {value, size};
}

struct Range {
    char32_t first, last;
};
// Of Unicode's categories Cc, Cf, Zl and Zp, what no sentence needs: controls; what changes the direction
// (UAX 9); line and paragraph separators; what has no width; tags.
constexpr Range unseen[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x61c, 0x61c},
    {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
    {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
};

bool is_unseen(char32_t c) {
    return std::any_of(std::begin(unseen), std::end(unseen),
                       [c](const Range& r) { return r.first <= c && c <= r.last; });
}

void append_hexadecimal(std::string& line, std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        char escape[5];
        std::snprintf(escape, sizeof escape, "\\x%02x", byte_at(bytes, i));
        line += escape;
    }
}

} // namespace

void append_escaped(std::string& line, std::string_view text, Quotes quotes) {
    while (!text.empty()) {
        const Character c = first_character(text);
        const std::string_view bytes = text.substr(0, std::max<std::size_t>(c.size, 1));
        text.remove_prefix(bytes.size());
        if (c.size == 0 || is_unseen(c.value)) {
            append_hexadecimal(line, bytes);
            continue;
        }
        if (quotes == Quotes::escaped && (c.value == '"' || c.value == '\\')) {
            line += '\\';
        }
        line += bytes;
    }
}

bool is_plain(std::string_view value) {
    return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte > ' ' && byte < 0x7f && c != '"' && c != '\\' && c != '=';
    });
}

} // namespace ekey::log
