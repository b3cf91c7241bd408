#include "ekeyd/runtime/sandbox/landlock.h"

#include <cerrno>
#include <cstdint>
#include <cstring>

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ekeyd/runtime/handle.h"

namespace ekey {

namespace {

// Younger than Debian 12's headers: Documentation/userspace-api/landlock.rst, "Previous limitations".
constexpr std::uint64_t access_truncate = 1ULL << 14;  // since version 3
constexpr std::uint64_t access_ioctl_dev = 1ULL << 15; // since version 5

constexpr std::uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
// The rights that a rule for a file, and not a folder, may have.
constexpr std::uint64_t of_files = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                   LANDLOCK_ACCESS_FS_READ_FILE | access_truncate | access_ioctl_dev;

std::uint64_t rights(FileUse use) {
    switch (use) {
    case FileUse::read: return reading;
    case FileUse::devices: return reading | LANDLOCK_ACCESS_FS_WRITE_FILE | access_ioctl_dev;
    case FileUse::sockets: return LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE;
    case FileUse::outputs:
        return reading | LANDLOCK_ACCESS_FS_WRITE_FILE | access_truncate | LANDLOCK_ACCESS_FS_MAKE_REG |
               LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_REMOVE_FILE;
    }
    return 0;
}

// All rights that a version of the interface knows: what it does not know it goes on to allow.
std::uint64_t known_to(long version) {
    std::uint64_t all = (1ULL << 13) - 1; // version 1: up to MAKE_SYM
    all |= version >= 2 ? std::uint64_t{LANDLOCK_ACCESS_FS_REFER} : 0;
    all |= version >= 3 ? access_truncate : 0;
    all |= version >= 5 ? access_ioctl_dev : 0;
    return all;
}

Result<void> add_rule(int ruleset, const FileRule& rule, std::uint64_t known) {
    const Fd path(::open(rule.path.c_str(), O_PATH | O_CLOEXEC));
    struct stat about {};
    if (!path || fstat(path.get(), &about) != 0) {
        return {}; // not there, so there is nothing to allow
    }
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access =
        rights(rule.use) & known & (S_ISDIR(about.st_mode) ? ~std::uint64_t{0} : of_files);
    beneath.parent_fd = path.get();
    if (beneath.allowed_access != 0 &&
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0) {
        return fail(rule.path + ": " + std::strerror(errno));
    }
    return {};
}

} // namespace

Result<unsigned> restrict_files(const FileRules& rules) {
    const long version =
        syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        return fail("not in this kernel");
    }
    landlock_ruleset_attr handled{};
    handled.handled_access_fs = known_to(version);
    const Fd ruleset(static_cast<int>(syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0)));
    if (!ruleset) {
        return fail(std::strerror(errno));
    }
    for (const FileRule& rule : rules) {
        if (auto added = add_rule(ruleset.get(), rule, handled.handled_access_fs); !added) {
            return tl::unexpected(added.error());
        }
    }
    if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
        return fail(std::strerror(errno));
    }
    return static_cast<unsigned>(version);
}

} // namespace ekey
