#pragma once

#include <string_view>

// Lines and words of the files with keys in them (keyring, peers). All are views into the caller's text:
// nothing is copied, because the text may be secret and in locked memory.
namespace ekey::config {

// Cuts the next line, with its '\n' if it has one, off the front of `text`; empty at the end of the text.
std::string_view next_line(std::string_view& text);
// Cuts the next word off the front of `line`; words are parted by blanks, tabs, '\r' and '\n'. Empty at the
// end.
std::string_view next_word(std::string_view& line);
// Empty, blank, or with '#' in front of its first word.
bool is_comment_or_empty(std::string_view line);

} // namespace ekey::config
