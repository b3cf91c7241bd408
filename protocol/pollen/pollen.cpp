#include "protocol/pollen/pollen.h"

#include <algorithm>
#include <array>

#include <sodium/crypto_hash_sha512.h>

namespace ekey::pollen {

namespace {

static_assert(line_size == 2 * crypto_hash_sha512_BYTES + 1 && line_size == 2 * seed_size + 1);

constexpr std::string_view form_type = "application/x-www-form-urlencoded";

// Of ASCII alone, whatever the locale is.
char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

int digit(char c) {
    const char l = lower(c);
    return l >= '0' && l <= '9' ? l - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

std::optional<std::string> decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i] == '+' ? ' ' : text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1;
        const int low = high >= 0 ? digit(text[i + 2]) : -1;
        if (low < 0) {
            return std::nullopt;
        }
        out += static_cast<char>(16 * high + low);
        i += 2;
    }
    return out;
}

void write_line(ByteView bytes, char* out) {
    sodium_bin2hex(out, line_size, bytes.data(), bytes.size());
    out[line_size - 1] = '\n'; // in the place of its zero
}

} // namespace

bool is_form(std::string_view content_type) {
    std::string_view type = content_type.substr(0, content_type.find(';'));
    while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) {
        type.remove_suffix(1);
    }
    return std::equal(type.begin(), type.end(), form_type.begin(), form_type.end(),
                      [](char a, char b) { return lower(a) == b; });
}

std::optional<std::string> find_challenge(std::string_view form) {
    while (!form.empty()) {
        const std::size_t end = std::min(form.find('&'), form.size());
        const std::string_view field = form.substr(0, end);
        form.remove_prefix(std::min(end + 1, form.size()));
        const std::size_t equals = field.find('=');
        const auto name = decode(field.substr(0, equals));
        if (!name || *name != "challenge") {
            continue;
        }
        auto value = decode(equals == std::string_view::npos ? "" : field.substr(equals + 1));
        if (value) {
            return value->empty() ? std::nullopt : std::move(value);
        }
    }
    return std::nullopt;
}

void write_answer(std::string_view challenge, std::span<const Byte, seed_size> seed,
                  std::span<char, answer_size> out) {
    std::array<Byte, crypto_hash_sha512_BYTES> hash;
    const ByteView bytes = as_bytes(challenge);
    crypto_hash_sha512(hash.data(), bytes.data(), bytes.size());
    write_line(hash, out.data());
    write_line(seed, out.data() + line_size);
}

} // namespace ekey::pollen
