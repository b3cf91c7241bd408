// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

#include "protocol/bytes.h"

namespace ekey::http {

std::string count(std::uint64_t value);    // "12 345 678", with narrow spaces
std::string bytes(double value);           // "512 B", "3.07 kB", "1.2 GB"; "–" for NaN
std::string rate(double bytes_per_second); // "3.07 kB/s"
std::string fixed(double value, int digits);
std::string span(Duration duration); // "45 s", "12 min", "3 h 5 min", "40 d 2 h"

} // namespace ekey::http
