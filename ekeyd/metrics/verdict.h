// What the figures mean, in words.
#pragma once

#include <string>
#include <vector>

#include "ekeyd/metrics/figures.h"

namespace ekey::metrics {

// Bytes have been made that may be served.
bool seeded(const Figures& figures);

// Empty when the daemon can serve its clients: seeded, and at least one source that counts (min-entropy above
// 0) is healthy. Else why not.
std::string why_not_ready(const Figures& figures);

// All that is wrong besides, a sentence each, the worst first; empty when nothing is.
std::vector<std::string> troubles(const Figures& figures);

} // namespace ekey::metrics
