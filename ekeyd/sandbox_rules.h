// Which files ekeyd still needs when it has started.
#pragma once

#include "ekeyd/config/settings.h"
#include "ekeyd/runtime/sandbox.h"

namespace ekey {

// The folders that the settings name (by their values or their defaults), each for its purpose, and what
// every program needs. ekeydctl can add sources, listeners and sinks within these while the daemon runs, on
// any TCP port and any device below /dev; what lies elsewhere has to be in the settings, or the sandbox be
// off.
FileRules file_rules(const config::Settings& settings);

} // namespace ekey
