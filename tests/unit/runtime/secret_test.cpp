#include <doctest/doctest.h>

#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ekeyd/runtime/secret.h"

using namespace ekey;

namespace {

// The address sanitizer puts in place of mlock() what does nothing.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool mlock_is_replaced = true;
#elif defined(__has_feature)
constexpr bool mlock_is_replaced = __has_feature(address_sanitizer);
#else
constexpr bool mlock_is_replaced = false;
#endif

// The VmFlags of the mapping that holds `address` ("lo" locked, "dd" not in core dumps), from
// /proc/self/smaps.
std::string flags_of(const void* address) {
    std::ifstream maps("/proc/self/smaps");
    const auto wanted = reinterpret_cast<std::uintptr_t>(address);
    bool inside = false;
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t from = 0, to = 0;
        if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
            inside = wanted >= from && wanted < to;
        } else if (inside && line.starts_with("VmFlags:")) {
            return line + " ";
        }
    }
    return "(not mapped)";
}

} // namespace

TEST_CASE("promise 6: secret memory is locked and left out of core dumps" *
          doctest::skip(mlock_is_replaced)) {
    const SecretBytes bytes(100);
    const std::string flags = flags_of(bytes.data());
    CHECK(flags.find(" lo ") != std::string::npos);
    CHECK(flags.find(" dd ") != std::string::npos);

    const auto object = make_locked<SecretArray<32>>();
    CHECK(flags_of(object.get()).find(" lo ") != std::string::npos);
}

TEST_CASE("promise 6: memory that cannot be locked is refused, with the remedy" *
          doctest::skip(mlock_is_replaced)) {
    // In a child that is not root: root's CAP_IPC_LOCK goes past the limit.
    const pid_t child = fork();
    if (child == 0) {
        const rlimit none{0, 0};
        setrlimit(RLIMIT_MEMLOCK, &none);
        if (getuid() == 0 && setuid(65534) != 0) {
            _exit(3);
        }
        try {
            const SecretBytes bytes(100);
            _exit(1);
        } catch (const std::runtime_error& error) {
            _exit(std::string(error.what()).find("memlock") != std::string::npos ? 0 : 2);
        }
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("promise 6: no core dumps") {
    const pid_t child = fork();
    if (child == 0) {
        forbid_core_dumps();
        rlimit limit{1, 1};
        getrlimit(RLIMIT_CORE, &limit);
        _exit(limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("secret memory is zero at first") {
    const SecretBytes bytes(1000);
    for (const Byte b : bytes.span()) {
        REQUIRE(b == 0);
    }
}
