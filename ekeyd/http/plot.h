// One series of the last hour as an SVG picture.
#pragma once

#include <string>
#include <string_view>

#include "ekeyd/metrics/history.h"

namespace ekey::http {

// `format` writes a value of the axis; `at_least` is the least value at its top. The title is escaped here.
std::string plot(std::string_view title, const metrics::History::Series& series,
                 std::string (*format)(double), double at_least);

// The next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15 ... at or above `value`, which is above 0.
double nice_top(double value);

} // namespace ekey::http
