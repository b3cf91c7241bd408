// ekeydctl top: the daemon at a glance.
#pragma once

#include "ekeyd/ctl/commands.h"

namespace ekey::ctl {

// On a terminal, until q or a signal, a new look every job.interval; a daemon that goes away is waited for.
// Else once: two looks, job.interval apart, as plain text.
Result<void> top(Connection& connection, const Job& job);

} // namespace ekey::ctl
