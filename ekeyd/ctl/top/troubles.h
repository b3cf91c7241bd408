// What is wrong with a daemon, in words.
#pragma once

#include <string>
#include <vector>

#include "ekeyd/ctl/top/sample.h"

namespace ekey::ctl {

// A sentence each, the worst first; empty when nothing is wrong. `before`, which may be null, shows what went
// on since. The sentences hold what the daemon said, escaped.
std::vector<std::string> troubles(const Sample& now, const Sample* before);

// Failures of the tests of noise, silence, and what the device reported itself. Not single FIPS 140-2 blocks:
// of a perfect source 8 in 10,000 fail.
double health_failures(const Fields& health);

// The one of `all` with the number or address of `of`, or null.
const SourceSample* same(const Sample* before, const SourceSample& of);
const Fields* same_counters(const std::vector<OutletSample>& all, const OutletSample& of);

} // namespace ekey::ctl
