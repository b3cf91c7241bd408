#include "ekeyd/config/unknown.h"

#include <algorithm>

#include "ekeyd/config/address.h"
#include "ekeyd/config/words.h"

namespace ekey::config {

namespace {

bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

constexpr std::size_t base64_of_32 = 44; // characters: a long-term key, an identity

// LISTEN is a slip of listen, too.
std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        c = is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return out;
}

// As options are named. Longer than all of them, or with the digits of hexadecimal, it may be a key.
bool looks_like_option(std::string_view name) {
    constexpr std::size_t longest = 32;
    constexpr auto most_digits = 2;
    return !name.empty() && name.size() <= longest && is_lower(name.front()) &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return is_lower(c) || is_digit(c) || c == '-'; }) &&
           std::count_if(name.begin(), name.end(), is_digit) <= most_digits;
}

} // namespace

std::string unknown_option(std::string_view name, std::span<const std::string_view> names,
                           std::string_view dashes, std::string_view help) {
    const std::string_view near = nearest(lower(name), names);
    if (!near.empty()) {
        return "unknown option \"" + std::string(name) + "\": did you mean " + std::string(dashes) +
               std::string(near) + "?";
    }
    if (looks_like_option(name)) {
        return "unknown option \"" + std::string(name) + "\": " + std::string(help);
    }
    return "what stands before the = is no option (it is not shown, as it may be a secret): is this the "
           "right "
           "file? " +
           std::string(help);
}

std::string no_setting(std::string_view line, std::span<const std::string_view> names) {
    if (begins_pem(line)) {
        return "here begins a key or a certificate (PEM): is this the right file? Expected NAME = VALUE";
    }
    const std::string_view word = next_word(line);
    if (std::find(names.begin(), names.end(), word) == names.end()) {
        return "the line is no setting: expected NAME = VALUE";
    }
    return '"' + std::string(word) + "\" is no setting without =: expected " + std::string(word) + " = VALUE";
}

bool begins_pem(std::string_view line) {
    return line.starts_with("-----BEGIN ");
}

bool may_be_key(std::string_view text) {
    constexpr std::size_t shortest = 32; // 128 bits in hexadecimal; 192 in base64
    // An absolute path may be as long, and be of the same characters. One of 64 keys in base64 begins with a
    // /, too.
    if (text.starts_with('/') && (text.size() != base64_of_32 || text.back() != '=')) {
        return false;
    }
    return text.size() >= shortest && std::all_of(text.begin(), text.end(), [](char c) {
               return is_lower(c) || is_upper(c) || is_digit(c) || c == '+' || c == '/' || c == '=' ||
                      c == '_' || c == '-' || c == ' ';
           });
}

} // namespace ekey::config
