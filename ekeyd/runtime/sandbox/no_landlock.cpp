#include "ekeyd/runtime/sandbox/landlock.h"

namespace ekey {

Result<unsigned> restrict_files(const FileRules&) {
    return fail("not in this build (meson's option landlock)");
}

} // namespace ekey
