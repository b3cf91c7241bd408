// Preloaded into Debian's ekeyd-egd-linux: makes the kernel look like one before 5.18, where /dev/random
// polls writable whenever the pool wants more. Today's never says so once it is seeded, and that program
// waits for it for ever. RNDADDENTROPY is noted ("BITS BYTES SUM", a line each, in the file that
// OLD_KERNEL_LOG names), not passed on, unless OLD_KERNEL_PASSES says so.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <dlfcn.h>
#include <linux/random.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace {

bool is_dev_random(int fd) {
    struct stat status {};
    return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 8);
}

unsigned sum_of(const rand_pool_info& info) {
    unsigned sum = 2166136261U; // FNV-1a: tells blocks apart, no more
    for (int i = 0; i < info.buf_size; ++i) {
        sum = (sum ^ reinterpret_cast<const unsigned char*>(info.buf)[i]) * 16777619U;
    }
    return sum;
}

} // namespace

extern "C" {

[[gnu::visibility("default")]] int poll(pollfd* fds, nfds_t count, int timeout) {
    using Poll = int (*)(pollfd*, nfds_t, int);
    static const Poll real = reinterpret_cast<Poll>(dlsym(RTLD_NEXT, "poll"));
    for (nfds_t i = 0; i < count; ++i) {
        if ((fds[i].events & POLLOUT) != 0 && is_dev_random(fds[i].fd)) {
            const int others = real(fds, count, 0);
            fds[i].revents = POLLOUT;
            return others < 0 ? others : others + 1;
        }
    }
    return real(fds, count, timeout);
}

[[gnu::visibility("default")]] int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void* argument = va_arg(arguments, void*);
    va_end(arguments);
    using Ioctl = int (*)(int, unsigned long, ...);
    static const Ioctl real = reinterpret_cast<Ioctl>(dlsym(RTLD_NEXT, "ioctl"));
    if (request != RNDADDENTROPY) {
        return real(fd, request, argument);
    }
    const auto& info = *static_cast<const rand_pool_info*>(argument);
    if (std::FILE* log = std::fopen(std::getenv("OLD_KERNEL_LOG"), "a")) {
        std::fprintf(log, "%d %d %08x\n", info.entropy_count, info.buf_size, sum_of(info));
        std::fclose(log);
    }
    if (std::getenv("OLD_KERNEL_PASSES") != nullptr) {
        return real(fd, request, argument);
    }
    const timespec pause{0, 10'000'000}; // it asks for more as fast as it can
    nanosleep(&pause, nullptr);
    return 0;
}
}
