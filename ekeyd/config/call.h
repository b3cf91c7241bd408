// The call syntax of ekeyd 1.1.5, which ran its control lines and its configuration as Lua 5.1:
//     Name    Name()    Name "arg"    Name("arg", 'arg', [[arg]], 7, true, nil)    -- a comment
// Only such calls are read; any other Lua is refused. It stands here because the control socket and the 1.1.5
// configuration share it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace ekey::config {

struct Argument {
    enum class Type { nil, text, number, boolean };
    Type type = Type::nil;
    // The string's bytes, the word as written, or the number as Lua writes it (8888 for 8888.0 and 0x22b8);
    // empty for nil.
    std::string text;
};

struct Call {
    std::string name;
    std::vector<Argument> arguments; // without the nils at the end
    unsigned line = 1;               // where it began
};

// More arguments than any call of 1.1.5 or ours takes (EGDUnixSocket: four).
inline constexpr std::size_t most_arguments = 8;

class CallReader {
  public:
    explicit CallReader(std::string_view text) : text_(text) {}

    // The next call, or nothing at the end of the text. After an error, reading cannot go on.
    Result<std::optional<Call>> next();
    unsigned line() const { return line_; } // 1 and up: where reading stands
    // Lua leaves out the first line of a file when it begins with # ("#!/usr/sbin/ekeyd").
    void skip_first_comment();

  private:
    bool at(std::string_view what) const { return text_.substr(position_).starts_with(what); }
    bool ended() const { return position_ == text_.size(); }
    char take();
    void skip_line();
    Result<void> skip_blanks();
    Result<std::string> quoted();
    Result<void> escape(std::string& out);
    std::optional<std::size_t> bracket_level() const;
    Result<std::string> bracketed(std::size_t level);
    Result<Argument> value();
    Result<void> arguments(Call& call);

    std::string_view text_;
    std::size_t position_ = 0;
    unsigned line_ = 1;
};

// Exactly one call, or nothing but blanks and comments.
Result<std::optional<Call>> parse_call(std::string_view text);

// A string in the form that Lua reads back, all on one line.
std::string quote_for_call(std::string_view text);

} // namespace ekey::config
