// The daemon's rows as JSON (RFC 8259).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ekey::ctl {

// With its quotes. What is no UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);

// The value of a row "name=value". Numbers are numbers, "nan" and infinities null, all else a string; so are
// the values of names that mean text (serials, paths, words, codes), even where they look like numbers.
std::string json_value(std::string_view name, std::string_view value);

// ListEntropyKeys: an array, an object a source, its members named as the columns.
std::string json_list(const std::vector<std::string>& rows);

// StatEntropyKey, or Health of one source: an object of the rows "name=value".
std::string json_object(const std::vector<std::string>& rows);

// Health of all: the object of the daemon, with the sources in an array "Sources". A row "Source=N" begins
// one.
std::string json_health(const std::vector<std::string>& rows);

} // namespace ekey::ctl
