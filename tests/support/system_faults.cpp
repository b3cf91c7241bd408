// Preloaded into ekeyd by the system tests: chosen system calls fail, stop half-way or are interrupted, and
// the wall clock jumps. What to do is read from the file that SYSTEM_FAULTS names, which is mapped once,
// before main(); so the daemon makes no system call more than it would (but fstat, to tell files from
// sockets), also under a filter. tests/system/system_faults.py writes that file.
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <ctime>

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace {

// The order is that of CALLS in system_faults.py.
enum Call {
    read_,
    write_,
    send_,
    recv_,
    accept_,
    wait_,
    watch_,
    mlock_,
    open_,
    ioctl_,
    thread_,
    poll_,
    bind_,
    fork_,
    calls
};

constexpr std::int64_t half = -1; // in place of an errno: only half of the bytes

struct Rule {
    std::atomic<std::int64_t> error; // 0: none
    std::atomic<std::int64_t> every; // n: each nth call
    std::atomic<std::int64_t>
        kinds; // 1 file, 2 FIFO, 4 socket, 8 character device; of calls with a descriptor
    std::atomic<std::int64_t> seen, done;
};

struct Orders {
    Rule rules[calls];
    std::atomic<std::int64_t> wall_clock; // nanoseconds added to it
};

Orders nothing;
Orders* orders = &nothing;

[[gnu::constructor]] void map_orders() {
    const char* path = std::getenv("SYSTEM_FAULTS");
    const int fd = path != nullptr ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void* memory = mmap(nullptr, sizeof(Orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory != MAP_FAILED) {
            orders = static_cast<Orders*>(memory);
        }
        ::close(fd);
    }
}

template <class Function>
Function real(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int kind_of(int fd) {
    struct stat about {};
    if (fstat(fd, &about) != 0) {
        return 0;
    }
    switch (about.st_mode & S_IFMT) {
    case S_IFREG: return 1;
    case S_IFIFO: return 2;
    case S_IFSOCK: return 4;
    case S_IFCHR: return 8;
    default: return 0;
    }
}

// 0, an errno, or `half`.
int order_for(Call call, int fd) {
    Rule& rule = orders->rules[call];
    const std::int64_t error = rule.error;
    if (error == 0 || (fd >= 0 && (kind_of(fd) & rule.kinds) == 0) || ++rule.seen % rule.every != 0) {
        return 0;
    }
    ++rule.done;
    return static_cast<int>(error);
}

// False: `count` may have been halved. True: the call is to fail, errno is set.
bool refused(Call call, int fd, std::size_t& count) {
    const int order = order_for(call, fd);
    if (order == half) {
        count = (count + 1) / 2;
    } else if (order != 0) {
        errno = order;
        return true;
    }
    return false;
}

bool refused(Call call, int fd) {
    std::size_t none = 0;
    return refused(call, fd, none);
}

} // namespace

extern "C" {

#define EXPORTED [[gnu::visibility("default")]]

EXPORTED ssize_t read(int fd, void* buffer, std::size_t count) {
    static const auto next = real<ssize_t (*)(int, void*, std::size_t)>("read");
    return refused(read_, fd, count) ? -1 : next(fd, buffer, count);
}
EXPORTED ssize_t __read_chk(int fd, void* buffer, std::size_t count, std::size_t) {
    return read(fd, buffer, count);
}
EXPORTED ssize_t write(int fd, const void* buffer, std::size_t count) {
    static const auto next = real<ssize_t (*)(int, const void*, std::size_t)>("write");
    return refused(write_, fd, count) ? -1 : next(fd, buffer, count);
}
EXPORTED ssize_t send(int fd, const void* buffer, std::size_t count, int flags) {
    static const auto next = real<ssize_t (*)(int, const void*, std::size_t, int)>("send");
    return refused(send_, fd, count) ? -1 : next(fd, buffer, count, flags);
}
EXPORTED ssize_t recv(int fd, void* buffer, std::size_t count, int flags) {
    static const auto next = real<ssize_t (*)(int, void*, std::size_t, int)>("recv");
    return refused(recv_, fd, count) ? -1 : next(fd, buffer, count, flags);
}
EXPORTED ssize_t __recv_chk(int fd, void* buffer, std::size_t count, std::size_t, int flags) {
    return recv(fd, buffer, count, flags);
}
EXPORTED int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
    static const auto next = real<int (*)(int, sockaddr*, socklen_t*, int)>("accept4");
    return refused(accept_, fd) ? -1 : next(fd, address, size, flags);
}
// The daemon's own epoll_wait() calls this one (runtime/loop.cpp).
EXPORTED int epoll_pwait(int fd, epoll_event* events, int most, int timeout, const sigset_t* signals) {
    static const auto next = real<int (*)(int, epoll_event*, int, int, const sigset_t*)>("epoll_pwait");
    return refused(wait_, -1) ? -1 : next(fd, events, most, timeout, signals);
}
EXPORTED int epoll_ctl(int fd, int operation, int about, epoll_event* event) {
    static const auto next = real<int (*)(int, int, int, epoll_event*)>("epoll_ctl");
    // Only adding takes memory, and counts against fs.epoll.max_user_watches.
    return operation == EPOLL_CTL_ADD && refused(watch_, about) ? -1 : next(fd, operation, about, event);
}
EXPORTED int mlock(const void* memory, std::size_t size) {
    static const auto next = real<int (*)(const void*, std::size_t)>("mlock");
    return refused(mlock_, -1) ? -1 : next(memory, size);
}
EXPORTED int poll(pollfd* fds, nfds_t count, int timeout) {
    static const auto next = real<int (*)(pollfd*, nfds_t, int)>("poll");
    return refused(poll_, -1) ? -1 : next(fds, count, timeout);
}
EXPORTED int __poll_chk(pollfd* fds, nfds_t count, int timeout, std::size_t) {
    return poll(fds, count, timeout);
}
EXPORTED int open64(const char* path, int flags, ...) {
    static const auto next = real<int (*)(const char*, int, ...)>("open64");
    va_list arguments;
    va_start(arguments, flags);
    const auto mode = va_arg(arguments, mode_t);
    va_end(arguments);
    // Files to be written only: the configuration can be read also where nothing can be written.
    return (flags & O_ACCMODE) != O_RDONLY && refused(open_, -1) ? -1 : next(path, flags, mode);
}
EXPORTED int ioctl(int fd, unsigned long request, ...) {
    static const auto next = real<int (*)(int, unsigned long, ...)>("ioctl");
    va_list arguments;
    va_start(arguments, request);
    void* argument = va_arg(arguments, void*);
    va_end(arguments);
    return refused(ioctl_, fd) ? -1 : next(fd, request, argument);
}
EXPORTED int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                            void* argument) {
    using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static const auto next = real<Create>("pthread_create");
    return refused(thread_, -1) ? errno : next(thread, attributes, start, argument);
}

EXPORTED int bind(int fd, const sockaddr* address, socklen_t size) {
    static const auto next = real<int (*)(int, const sockaddr*, socklen_t)>("bind");
    return refused(bind_, fd) ? -1 : next(fd, address, size);
}
EXPORTED pid_t fork() {
    static const auto next = real<pid_t (*)()>("fork");
    return refused(fork_, -1) ? -1 : next();
}

// SYSTEM_FAULTS_LOG: a socket in the place of the system's log.
EXPORTED int connect(int fd, const sockaddr* address, socklen_t size) {
    static const auto next = real<int (*)(int, const sockaddr*, socklen_t)>("connect");
    const char* log = std::getenv("SYSTEM_FAULTS_LOG");
    const auto* given = reinterpret_cast<const sockaddr_un*>(address);
    if (log == nullptr || given->sun_family != AF_UNIX || std::strcmp(given->sun_path, "/dev/log") != 0) {
        return next(fd, address, size);
    }
    sockaddr_un there{};
    there.sun_family = AF_UNIX;
    std::strncpy(there.sun_path, log, sizeof there.sun_path - 1);
    return next(fd, reinterpret_cast<const sockaddr*>(&there), sizeof there);
}

EXPORTED int clock_gettime(clockid_t clock, timespec* now) {
    static const auto next = real<int (*)(clockid_t, timespec*)>("clock_gettime");
    const int outcome = next(clock, now);
    if (outcome == 0 && clock == CLOCK_REALTIME) {
        const std::int64_t there = now->tv_sec * 1'000'000'000L + now->tv_nsec + orders->wall_clock;
        now->tv_sec = there / 1'000'000'000L;
        now->tv_nsec = there % 1'000'000'000L;
    }
    return outcome;
}
EXPORTED int gettimeofday(timeval* now, void*) {
    timespec there{};
    const int outcome = clock_gettime(CLOCK_REALTIME, &there);
    now->tv_sec = there.tv_sec;
    now->tv_usec = there.tv_nsec / 1000;
    return outcome;
}
EXPORTED std::time_t time(std::time_t* into) {
    timespec there{};
    clock_gettime(CLOCK_REALTIME, &there);
    if (into != nullptr) {
        *into = there.tv_sec;
    }
    return there.tv_sec;
}
}
