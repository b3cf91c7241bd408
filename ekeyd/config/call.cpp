#include "ekeyd/config/call.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <system_error>

namespace ekey::config {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// A number, as Lua 5.1 writes what it reads: decimal, or hexadecimal behind 0x. Every number is a double
// there, and written with 14 digits (LUAI_NUMFFORMAT).
std::optional<std::string> as_number(std::string_view word) {
    const bool negative = word.starts_with('-');
    std::string_view digits = word.substr(negative ? 1 : 0);
    if (digits.empty() || !(is_digit(digits.front()) || digits.front() == '.')) {
        return std::nullopt;
    }
    const char* const end = digits.data() + digits.size();
    double value = 0;
    if (digits.starts_with("0x") || digits.starts_with("0X")) {
        std::uint64_t whole = 0;
        const auto read = std::from_chars(digits.data() + 2, end, whole, 16);
        if (read.ec != std::errc() || read.ptr != end) {
            return std::nullopt;
        }
        value = static_cast<double>(whole);
    } else if (const auto read = std::from_chars(digits.data(), end, value);
               read.ec != std::errc() || read.ptr != end) {
        return std::nullopt;
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.14g", negative ? -value : value);
    return text;
}

} // namespace

char CallReader::take() {
    const char c = text_[position_++];
    line_ += c == '\n' ? 1 : 0;
    return c;
}

void CallReader::skip_first_comment() {
    if (position_ == 0 && at("#")) {
        skip_line();
    }
}

void CallReader::skip_line() {
    while (!ended() && take() != '\n') {
    }
}

Result<void> CallReader::skip_blanks() {
    for (;;) {
        if (!ended() && is_blank(text_[position_])) {
            take();
        } else if (at("--")) {
            position_ += 2;
            if (const auto level = bracket_level()) {
                if (auto comment = bracketed(*level); !comment) {
                    return fail(comment.error().what);
                }
            } else {
                skip_line();
            }
        } else {
            return {};
        }
    }
}

// The number of equals signs when a long bracket ([[, [=[, ...) begins here.
std::optional<std::size_t> CallReader::bracket_level() const {
    if (!at("[")) {
        return std::nullopt;
    }
    const std::size_t second = text_.find_first_not_of('=', position_ + 1);
    if (second == std::string_view::npos || text_[second] != '[') {
        return std::nullopt;
    }
    return second - position_ - 1;
}

Result<std::string> CallReader::bracketed(std::size_t level) {
    const std::string close = ']' + std::string(level, '=') + ']';
    position_ += level + 2;
    const std::size_t end = text_.find(close, position_);
    if (end == std::string_view::npos) {
        return fail("a long bracket is not closed: expected " + close);
    }
    std::string out;
    if (at("\n")) { // Lua leaves out a line end right after the bracket
        take();
    }
    while (position_ < end) {
        out += take();
    }
    position_ += close.size();
    return out;
}

Result<void> CallReader::escape(std::string& out) {
    if (ended()) {
        return fail("a string is not closed");
    }
    const char c = take();
    if (is_digit(c)) {
        int value = c - '0';
        for (int digits = 1; digits < 3 && !ended() && is_digit(text_[position_]); ++digits) {
            value = 10 * value + (take() - '0');
        }
        if (value > 255) {
            return fail("a string holds an escape above \\255");
        }
        out += static_cast<char>(value);
        return {};
    }
    constexpr std::string_view letters = "abfnrtv\\\"'\n";
    constexpr std::string_view meanings = "\a\b\f\n\r\t\v\\\"'\n";
    const std::size_t index = letters.find(c);
    if (index == std::string_view::npos) {
        return fail("a string holds an unknown escape");
    }
    out += meanings[index];
    return {};
}

Result<std::string> CallReader::quoted() {
    const char quote = take();
    std::string out;
    for (;;) {
        if (ended() || at("\n")) {
            return fail("a string is not closed");
        }
        const char c = take();
        if (c == quote) {
            return out;
        }
        if (c != '\\') {
            out += c;
        } else if (auto done = escape(out); !done) {
            return fail(done.error().what);
        }
    }
}

Result<Argument> CallReader::value() {
    if (ended()) {
        return fail("a value is missing at the end");
    }
    const auto text = [](Result<std::string> from) -> Result<Argument> {
        if (!from) {
            return fail(from.error().what);
        }
        return Argument{Argument::Type::text, std::move(*from)};
    };
    if (at("\"") || at("'")) {
        return text(quoted());
    }
    if (const auto level = bracket_level()) {
        return text(bracketed(*level));
    }
    std::size_t end = position_;
    while (end < text_.size() &&
           (is_letter(text_[end]) || is_digit(text_[end]) || text_[end] == '.' || text_[end] == '-' ||
            (text_[end] == '+' && end > position_ &&
             (text_[end - 1] == 'e' || text_[end - 1] == 'E')))) { // 5.6e+29
        ++end;
    }
    const std::string word(text_.substr(position_, end - position_));
    position_ = end;
    if (word == "nil") {
        return Argument{};
    }
    if (word == "true" || word == "false") {
        return Argument{Argument::Type::boolean, word};
    }
    const auto number = as_number(word);
    if (!number) {
        return fail("a value must be a string in quotes, a number, true, false or nil");
    }
    return Argument{Argument::Type::number, *number};
}

Result<void> CallReader::arguments(Call& call) {
    position_ += 1; // (
    if (auto blanks = skip_blanks(); !blanks) {
        return blanks;
    }
    if (at(")")) {
        position_ += 1;
        return {};
    }
    for (;;) {
        if (call.arguments.size() == most_arguments) {
            return fail(call.name + " has too many arguments");
        }
        if (auto blanks = skip_blanks(); !blanks) {
            return blanks;
        }
        auto argument = value();
        if (!argument) {
            return fail(argument.error().what);
        }
        call.arguments.push_back(std::move(*argument));
        if (auto blanks = skip_blanks(); !blanks) {
            return blanks;
        }
        if (at(")")) {
            position_ += 1;
            return {};
        }
        if (!at(",")) {
            return fail(ended() ? "a bracket is not closed: expected )" : "expected , or ) after a value");
        }
        position_ += 1;
    }
}

Result<std::optional<Call>> CallReader::next() {
    for (;;) {
        if (auto blanks = skip_blanks(); !blanks) {
            return fail(blanks.error().what);
        }
        if (!at(";")) {
            break;
        }
        position_ += 1;
    }
    if (ended()) {
        return std::nullopt;
    }
    if (!is_letter(text_[position_])) {
        return fail("expected a call, such as AddEntropyKey(\"PATH\")");
    }
    Call call;
    call.line = line_;
    while (!ended() && (is_letter(text_[position_]) || is_digit(text_[position_]))) {
        call.name += take();
    }
    if (auto blanks = skip_blanks(); !blanks) {
        return fail(blanks.error().what);
    }
    if (at("(")) {
        if (auto done = arguments(call); !done) {
            return fail(done.error().what);
        }
    } else if (at("\"") || at("'") || bracket_level()) {
        auto argument = value();
        if (!argument) {
            return fail(argument.error().what);
        }
        call.arguments.push_back(std::move(*argument));
    }
    while (!call.arguments.empty() && call.arguments.back().type == Argument::Type::nil) {
        call.arguments.pop_back();
    }
    return call;
}

Result<std::optional<Call>> parse_call(std::string_view text) {
    CallReader reader(text);
    auto call = reader.next();
    if (!call || !*call) {
        return call;
    }
    auto more = reader.next();
    if (!more || *more) {
        return fail("one call a line: something follows " + (*call)->name);
    }
    return call;
}

std::string quote_for_call(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            char digits[8];
            std::snprintf(digits, sizeof digits, "\\%03u",
                          static_cast<unsigned>(static_cast<unsigned char>(c)));
            out += digits;
        } else {
            out += c;
        }
    }
    return out + '"';
}

} // namespace ekey::config
