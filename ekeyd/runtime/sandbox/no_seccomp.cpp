#include "ekeyd/runtime/sandbox/seccomp.h"

namespace ekey {

Result<void> filter_calls(bool) {
    return fail("not in this build (meson's option seccomp)");
}

} // namespace ekey
