#include "ekeyd/ctl/text.h"

#include "protocol/bytes.h"

namespace ekey::ctl {

namespace {

unsigned at(std::string_view text, std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

void append_escaped(std::string& out, std::string_view bytes) {
    constexpr char digits[] = "0123456789abcdef";
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        out += {'\\', 'x', digits[at(bytes, i) >> 4], digits[at(bytes, i) & 15]};
    }
}

template <class Shown>
std::string escape(std::string_view text, Shown shown) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = utf8_length(text, i);
        const std::string_view character = text.substr(i, length == 0 ? 1 : length);
        if (length > 0 && shown(character)) {
            out += character;
        } else {
            append_escaped(out, character);
        }
        i += character.size();
    }
    return out;
}

} // namespace

std::size_t utf8_length(std::string_view text, std::size_t i) {
    const unsigned first = at(text, i);
    if (i >= text.size()) {
        return 0;
    }
    if (first < 0x80) {
        return 1;
    }
    // RFC 3629, 4: the second byte's range depends on the first.
    const std::size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    const unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (length == 0 || i + length > text.size() || at(text, i + 1) < low || at(text, i + 1) > high) {
        return 0;
    }
    for (std::size_t k = 2; k < length; ++k) {
        if ((at(text, i + k) & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

std::string clean(std::string_view text) {
    return escape(text, [](std::string_view c) {
        const unsigned first = at(c, 0);
        const bool c1 = first == 0xc2 && at(c, 1) < 0xa0;
        return first == '\t' || (first >= 0x20 && first != 0x7f && !c1);
    });
}

std::string clean_ascii(std::string_view text) {
    return escape(text, [](std::string_view c) { return at(c, 0) >= 0x20 && at(c, 0) < 0x7f; });
}

} // namespace ekey::ctl
