#include "ekeyd/metrics/text.h"

#include <cstddef>

namespace ekey::metrics {

namespace {

// The bytes of the well-formed sequence that `text` begins with (Unicode 15, table 3-7), or 0.
std::size_t sequence(std::string_view text) {
    const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const auto between = [&](std::size_t i, unsigned low, unsigned high) {
        return at(i) >= low && at(i) <= high;
    };
    const auto rest = [&](std::size_t from, std::size_t to) {
        bool good = true;
        for (std::size_t i = from; i < to; ++i) {
            good = good && between(i, 0x80, 0xbf);
        }
        return good;
    };
    const unsigned first = at(0);
    if (first >= 0x20 && first < 0x7f) {
        return 1;
    }
    if (first == 0xc2 && between(1, 0x80, 0x9f)) {
        return 0; // the control characters of Latin-1
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return rest(1, 2) ? 2 : 0;
    }
    if (first >= 0xe0 && first <= 0xef) {
        const bool second = between(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf);
        return second && rest(2, 3) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool second = between(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
        return second && rest(2, 4) ? 4 : 0;
    }
    return 0;
}

} // namespace

std::string clean(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t size = sequence(text);
        out += size > 0 ? text.substr(0, size) : "\xef\xbf\xbd";
        text.remove_prefix(size > 0 ? size : 1);
    }
    return out;
}

std::string html(std::string_view text) {
    std::string out;
    for (const char c : clean(text)) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        case '\'': out += "&#39;"; break;
        default: out += c;
        }
    }
    return out;
}

} // namespace ekey::metrics
