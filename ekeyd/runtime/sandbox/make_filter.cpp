// Run by the build: prints, as C++, the filter of system calls that the programs keep to once they have
// started. usage: make-filter ARCHITECTURE (as libseccomp calls it, or native)
//
// The list is what our own code calls, what the C library, libusb, libev and libsodium call on its behalf,
// and what those fall back on. It is one list for ekeyd and egd-push: they are made of the same parts. Left
// out on purpose: whatever starts a program or a process, traces or signals another, mounts, loads, changes
// users or limits, and sockets of other families than those below.
//
// The default is ENOSYS and not the end of the process: a C library newer than this list tries a newer call
// first and falls back on the old one when the kernel does not know it. A call that is truly missed is found
// by the tests, which run everything with SECCOMP_RET_TRAP in its place.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <asm/termbits.h>
#include <linux/filter.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

// Allowed whatever their arguments are.
constexpr const char* plain[] = {
    // bytes in and out
    "read", "readv", "pread64", "write", "writev", "pwrite64", "lseek", "_llseek", "close",
    // the loop and its timers, in every backend of libev, and other ways to wait
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll",
    "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64", "eventfd2", "pipe",
    "pipe2", "signalfd4", "timerfd_create", "timerfd_settime", "timerfd_settime64", "timerfd_gettime",
    "nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "restart_syscall", "sched_yield",
    // the time, where the vDSO does not tell it
    "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "gettimeofday", "time",
    // clients, servers, syslog, the service manager, and names looked up
    "accept", "accept4", "bind", "connect", "listen", "getpeername", "getsockname", "getsockopt",
    "setsockopt", "recv", "recvfrom", "recvmsg", "recvmmsg", "recvmmsg_time64", "send", "sendto", "sendmsg",
    "sendmmsg", "shutdown", "socketpair",
    // files: keyrings read again, sinks and sockets made and removed; which, Landlock decides
    "open", "openat", "stat", "stat64", "lstat", "lstat64", "fstat", "fstat64", "newfstatat", "fstatat64",
    "statx", "statfs", "statfs64", "fstatfs", "fstatfs64", "access", "faccessat", "faccessat2", "readlink",
    "readlinkat", "getdents", "getdents64", "getcwd", "chdir", "umask", "mkdir", "mkdirat", "mknod",
    "mknodat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "chmod", "fchmod", "fchmodat",
    "chown", "chown32", "lchown", "lchown32", "fchown", "fchown32", "fchownat", "fsync", "fdatasync",
    "ftruncate", "ftruncate64", "fsetxattr", "lsetxattr", "flock", "fcntl", "fcntl64", "dup", "dup2", "dup3",
    // the list of clients for the next process (restart.h)
    "memfd_create",
    // memory; executable mappings too, because modules that look up names are loaded when they are needed
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "mlock", "mlock2", "munlock",
    // randomness
    "getrandom",
    // threads
    "futex", "futex_time64", "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "gettid",
    "sched_getaffinity", "membarrier", "exit", "exit_group",
    // signals to ourselves
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack",
    // who and where we are
    "getpid", "getppid", "getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getgid32", "getegid",
    "getegid32", "uname", "sysinfo", "getrusage", "getrlimit", "ugetrlimit", "times", "getcpu"};

class Filter {
  public:
    Filter(const std::string& architecture, std::uint32_t refusal)
        : context_(seccomp_init(refusal), seccomp_release) {
        if (context_ == nullptr) {
            throw std::runtime_error("libseccomp does not start");
        }
        if (architecture != "native") {
            const std::uint32_t token = seccomp_arch_resolve_name(architecture.c_str());
            must(token == 0 ? -EINVAL : seccomp_arch_remove(context_.get(), SCMP_ARCH_NATIVE), architecture);
            must(seccomp_arch_add(context_.get(), token), architecture);
        }
        // Another architecture's numbers on this one (i386 on x86-64): nothing of ours makes such calls.
        must(seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
             "architecture");
        // Looked up in a tree, not down a list of two hundred.
        must(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimisation");
    }

    void rule(std::uint32_t action, const char* name, const std::vector<scmp_arg_cmp>& arguments = {}) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number == __NR_SCMP_ERROR) {
            return; // a call younger than this libseccomp: refused, and then the older one is tried
        }
        must(seccomp_rule_add_array(context_.get(), action, number, static_cast<unsigned>(arguments.size()),
                                    arguments.data()),
             name);
    }
    void allow(const char* name, const std::vector<scmp_arg_cmp>& arguments = {}) {
        rule(SCMP_ACT_ALLOW, name, arguments);
    }

    std::vector<sock_filter> code() const {
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
        if (file == nullptr) {
            throw std::runtime_error("no temporary file");
        }
        must(seccomp_export_bpf(context_.get(), fileno(file.get())), "export");
        std::rewind(file.get());
        std::vector<sock_filter> instructions;
        sock_filter one{};
        while (std::fread(&one, sizeof one, 1, file.get()) == 1) {
            instructions.push_back(one);
        }
        return instructions;
    }

  private:
    static void must(int result, const std::string& what) {
        if (result < 0) {
            throw std::runtime_error(what + ": " + std::strerror(-result));
        }
    }
    std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
};

scmp_arg_cmp equal(unsigned argument, std::uint64_t value) {
    return {argument, SCMP_CMP_EQ, value, 0};
}
scmp_arg_cmp masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
    return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

void allow_sockets(Filter& filter) {
    constexpr std::uint64_t type = 0xf;            // without SOCK_CLOEXEC and SOCK_NONBLOCK
    for (const int family : {AF_INET, AF_INET6}) { // no SOCK_RAW
        filter.allow("socket", {equal(0, static_cast<unsigned>(family)), masked(1, type, SOCK_STREAM)});
        filter.allow("socket", {equal(0, static_cast<unsigned>(family)), masked(1, type, SOCK_DGRAM)});
    }
    // AF_NETLINK: devices that come and go, and which addresses this host has, for the order of a name's
    for (const int family : {AF_UNIX, AF_NETLINK, AF_VSOCK}) {
        filter.allow("socket", {equal(0, static_cast<unsigned>(family))});
    }
}

void allow_ioctls(Filter& filter) {
    constexpr std::uint64_t all = 0xffffffff;
    const auto request = [](unsigned long number) { return static_cast<std::uint64_t>(number); };
    for (const auto number :
         {request(TCGETS), request(TCSETS), request(TCSETSW), request(TCSETSF), request(TCFLSH),
          request(TCSBRK), request(TIOCGWINSZ), request(TIOCMGET), request(TIOCMBIS), request(TIOCMBIC),
          request(FIONREAD), request(FIONBIO), request(FIOCLEX), request(RNDGETENTCNT),
          request(RNDADDENTROPY), request(RNDRESEEDCRNG)}) {
        filter.allow("ioctl", {masked(1, all, number)});
    }
    filter.allow("ioctl", {masked(1, 0xff00, 'U' << 8)}); // usbdevice_fs.h
}

void allow_the_rest(Filter& filter, std::uint32_t refusal) {
    // Threads, not processes. clone3 hides its flags in memory that a filter cannot read; refused in this
    // way, the C library takes clone.
#ifdef __s390__
    constexpr unsigned clone_flags = 1;
#else
    constexpr unsigned clone_flags = 0;
#endif
    filter.allow("clone", {masked(clone_flags, CLONE_THREAD, CLONE_THREAD)});
    if (refusal != SCMP_ACT_ERRNO(ENOSYS)) { // libseccomp refuses a rule that says the same as the default
        filter.rule(SCMP_ACT_ERRNO(ENOSYS), "clone3");
    }
    filter.allow("prlimit64", {equal(2, 0)}); // to ask, not to set
    for (const unsigned number : {PR_SET_NAME, PR_GET_NAME}) {
        filter.allow("prctl", {masked(0, 0xffffffff, number)});
    }
    for (const unsigned number : {SIGABRT, SIGSYS}) { // abort(), raise()
        filter.allow("tgkill", {masked(2, 0xffffffff, number)});
    }
}

void print(const char* name, const std::vector<sock_filter>& code) {
    std::printf("inline constexpr sock_filter %s[] = {\n", name);
    for (const sock_filter& one : code) {
        std::printf("    {0x%04x, %u, %u, 0x%08x},\n", one.code, one.jt, one.jf, one.k);
    }
    std::printf("};\n");
}

std::vector<sock_filter> make(const std::string& architecture, std::uint32_t refusal) {
    Filter filter(architecture, refusal);
    for (const char* name : plain) {
        filter.allow(name);
    }
    allow_sockets(filter);
    allow_ioctls(filter);
    allow_the_rest(filter, refusal);
    return filter.code();
}

} // namespace

int main(int argc, char** argv) {
    try {
        const std::string architecture = argc > 1 ? argv[1] : "native";
        std::printf("// Made by make_filter.cpp.\n#pragma once\n\n#include <linux/filter.h>\n\n");
        std::printf("namespace ekey {\n\n");
        print("refuse_with_error", make(architecture, SCMP_ACT_ERRNO(ENOSYS)));
        print("refuse_with_signal", make(architecture, SCMP_ACT_TRAP));
        std::printf("\n} // namespace ekey\n");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "make-filter: %s\n", error.what());
        return 1;
    }
    return 0;
}
