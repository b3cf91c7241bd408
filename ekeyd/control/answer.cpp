#include "ekeyd/control/answer.h"

#include <algorithm>

#include <sodium.h>

namespace ekey::control {

namespace {

void append_clean(std::string& out, std::string_view text, bool keep_tabs) {
    constexpr char digits[] = "0123456789abcdef";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && !(keep_tabs && c == '\t')) || byte == 0x7f) {
            out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        } else {
            out += c;
        }
    }
}

} // namespace

void Answer::row(std::initializer_list<std::string_view> columns) {
    text_ += '*';
    for (const std::string_view column : columns) {
        text_ += '\t';
        append_clean(text_, column, false);
    }
    text_ += '\n';
}

void Answer::columns(std::string_view line) {
    text_ += "*\t";
    append_clean(text_, line, true);
    text_ += '\n';
}

void Answer::base64(ByteView bytes) {
    constexpr std::size_t line_bytes = 57; // 76 characters
    char line[sodium_base64_ENCODED_LEN(line_bytes, sodium_base64_VARIANT_ORIGINAL)];
    while (!bytes.empty()) {
        const ByteView piece = bytes.first(std::min(bytes.size(), line_bytes));
        sodium_bin2base64(line, sizeof line, piece.data(), piece.size(), sodium_base64_VARIANT_ORIGINAL);
        text_ += "*\t";
        text_ += line;
        text_ += '\n';
        bytes = bytes.subspan(piece.size());
    }
    wipe({reinterpret_cast<Byte*>(line), sizeof line});
}

void Answer::ok(std::string_view text) {
    text_ += "OK";
    if (!text.empty()) {
        text_ += ' ';
        append_clean(text_, text, false);
    }
    text_ += '\n';
}

void Answer::error(std::string_view text) {
    text_ += "ERROR ";
    append_clean(text_, text, false);
    text_ += '\n';
}

} // namespace ekey::control
