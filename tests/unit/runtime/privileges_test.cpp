// A program of its own, because only root can try it: who is not skips it where everybody sees that.
#include <cstdio>

#include <unistd.h>

#include "ekeyd/runtime/daemon.h"

int main() {
    constexpr int skipped = 77; // meson's exit status for it
    if (getuid() != 0) {
        std::puts("skipped: only root can change its user");
        return skipped;
    }
    if (const auto dropped = ekey::drop_privileges("nobody", "", true); !dropped) {
        std::printf("not dropped: %s\n", dropped.error().what.c_str());
        return 1;
    }
    if (getuid() == 0 || geteuid() == 0 || getgroups(0, nullptr) > 1) {
        std::puts("not all of root is gone");
        return 1;
    }
    if (setuid(0) == 0) {
        std::puts("there is a way back");
        return 1;
    }
    return 0;
}
