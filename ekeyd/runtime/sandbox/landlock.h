// Inside of runtime/sandbox.h: Landlock, by its system calls, for which the C library has no functions.
#pragma once

#include "ekeyd/runtime/sandbox.h"

namespace ekey {

// For this thread and those it will start, for good. Needs PR_SET_NO_NEW_PRIVS. Returns the version of
// Landlock's interface; the error says what the kernel lacks or refused.
Result<unsigned> restrict_files(const FileRules& rules);

} // namespace ekey
