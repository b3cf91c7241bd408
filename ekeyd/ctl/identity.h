// keygen and pubkey: they need no daemon.
#pragma once

#include "ekeyd/ctl/commands.h"

namespace ekey::ctl {

// The file is the one argument, or the identity of this host's ekeyd.
Result<void> make_identity(const Job& job);
Result<void> show_identity(const Job& job);

} // namespace ekey::ctl
