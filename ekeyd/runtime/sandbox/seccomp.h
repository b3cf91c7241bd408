// Inside of runtime/sandbox.h: the filter of system calls.
#pragma once

#include "protocol/result.h"

namespace ekey {

// For all threads, for good. Needs PR_SET_NO_NEW_PRIVS. The error says what the kernel said.
Result<void> filter_calls(bool strict);

} // namespace ekey
