// Asks for the master key.
#pragma once

#include <string>

#include "protocol/entropykey/keys.h"
#include "protocol/result.h"

namespace ekey::rekey {

// On a terminal: asks on standard error, three times when what is typed is no master key. Nothing is echoed,
// and the terminal is as before when this returns, or when a signal ends or stops the program. From anything
// else: reads one line, without a prompt.
Result<entropykey::MasterKey> ask_master_key(const std::string& serial);

} // namespace ekey::rekey
