// How text from outside stands in a line of the log.
#pragma once

#include <string>
#include <string_view>

namespace ekey::log {

// What would part or forge lines, or is not what a reader sees, is written \xNN, byte by byte: control
// characters, Unicode's invisible and direction-changing ones, and what is no UTF-8. In a line of fields,
// quotes and backslashes get a backslash; in a sentence for a person they stay.
enum class Quotes { escaped, kept };
void append_escaped(std::string& line, std::string_view text, Quotes quotes = Quotes::escaped);

// Whether a value may stand without quotes: printable ASCII, without what parts fields or their names.
bool is_plain(std::string_view value);

} // namespace ekey::log
