// What this host and this process tell of themselves.
#pragma once

#include "ekeyd/metrics/figures.h"

namespace ekey::metrics {

// Of /proc/sys/kernel/random (random(4)).
KernelFigures read_kernel();

// This host's name; empty when it has none.
std::string host_name();

// Seconds of processor time that this process has used.
double cpu_seconds();

} // namespace ekey::metrics
