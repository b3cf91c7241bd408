#include "ekeyd/config/words.h"

#include <algorithm>

namespace ekey::config {

namespace {

constexpr std::string_view blanks = " \t\r\n";

} // namespace

std::string_view next_line(std::string_view& text) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end == std::string_view::npos ? end : end + 1);
    text.remove_prefix(line.size());
    return line;
}

std::string_view next_word(std::string_view& line) {
    const auto begin = std::min(line.find_first_not_of(blanks), line.size());
    const auto end = std::min(line.find_first_of(blanks, begin), line.size());
    const auto word = line.substr(begin, end - begin);
    line.remove_prefix(end);
    return word;
}

bool is_comment_or_empty(std::string_view line) {
    const auto word = next_word(line);
    return word.empty() || word.front() == '#';
}

} // namespace ekey::config
