// The figures in the Prometheus text format.
#pragma once

#include <string>

#include "ekeyd/metrics/figures.h"

namespace ekey::metrics {

std::string to_prometheus(const Figures& figures);

} // namespace ekey::metrics
