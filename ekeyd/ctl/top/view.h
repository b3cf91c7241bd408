// Samples of a daemon as lines for a person. Printable ASCII only: a byte is a column.
#pragma once

#include <string>
#include <vector>

#include "ekeyd/ctl/top/sample.h"
#include "ekeyd/ctl/top/table.h"

namespace ekey::ctl {

struct ViewLine {
    enum class Style { plain, heading, trouble } style;
    std::string text;
};

// Rates are of the time between the two; `before` may be null, and then they are not known. No line is longer
// than `width`.
std::vector<ViewLine> view(const Sample& now, const Sample* before, std::size_t width = any_width);

} // namespace ekey::ctl
