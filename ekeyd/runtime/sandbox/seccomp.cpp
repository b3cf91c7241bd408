#include "ekeyd/runtime/sandbox/seccomp.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <span>

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ekeyd/runtime/sandbox/seccomp_filter.h"

namespace ekey {

namespace {

// Nothing here but what a signal handler may call.
void tell_refused(int, siginfo_t* info, void*) {
    const auto say = [](const char* text, std::size_t size) {
        [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text, size);
    };
    constexpr char before[] = "sandbox: system call number ";
    constexpr char after[] = " is not on the list of ekeyd/runtime/sandbox/make_filter.cpp\n";
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), info->si_syscall).ptr;
    say(before, sizeof before - 1);
    say(digits.data(), static_cast<std::size_t>(end - digits.data()));
    say(after, sizeof after - 1);
    std::raise(SIGSYS); // SA_RESETHAND: this time it ends the process
}

Result<void> install(std::span<const sock_filter> code) {
    // The kernel's structure has no const; it only reads.
    const sock_fprog program{static_cast<unsigned short>(code.size()), const_cast<sock_filter*>(code.data())};
    // What it refuses may be written to the audit log. SPEC_ALLOW: kernels before 5.16 otherwise turn a
    // processor's speculation on stores off, which guards a process from code that it runs for others; we run
    // none.
    constexpr unsigned long flags =
        SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    const long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (result != 0) {
        return fail(result > 0 ? "a thread cannot be included" : std::strerror(errno));
    }
    return {};
}

} // namespace

Result<void> filter_calls(bool strict) {
    if (!strict) {
        return install(refuse_with_error);
    }
    struct sigaction action {};
    action.sa_sigaction = tell_refused;
    action.sa_flags = static_cast<int>(SA_SIGINFO | SA_RESETHAND | SA_NODEFER);
    sigaction(SIGSYS, &action, nullptr);
    return install(refuse_with_signal);
}

} // namespace ekey
