// What a daemon says, on its way to a terminal. The daemon escapes what comes from outside, but whoever
// answers at the address given may be anything.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ekey::ctl {

// The length in bytes of the UTF-8 character at `at` (RFC 3629: shortest form, no surrogates); 0 when there
// is none.
std::size_t utf8_length(std::string_view text, std::size_t at);

// Nothing in it moves a terminal's cursor: control characters (C0 but for the tab, DEL, C1) and what is no
// UTF-8 are written \xNN, a byte each.
std::string clean(std::string_view text);

// The same, and one column a byte: of printable ASCII only.
std::string clean_ascii(std::string_view text);

} // namespace ekey::ctl
