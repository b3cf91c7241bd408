#include "ekeyd/runtime/account.h"

#include <charconv>
#include <optional>

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace ekey {

namespace {
// -1 stands for "leave it" in chown(2) and the like, and is nobody's number.
std::optional<unsigned> as_number(const std::string& text) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    return whole && value != static_cast<unsigned>(-1) ? std::optional<unsigned>(value) : std::nullopt;
}
} // namespace

Result<uid_t> find_user(const std::string& name) {
    if (const passwd* entry = getpwnam(name.c_str())) {
        return entry->pw_uid;
    }
    if (const auto number = as_number(name)) {
        return static_cast<uid_t>(*number);
    }
    return fail("there is no user \"" + name + '"');
}

Result<gid_t> find_group(const std::string& name) {
    if (const group* entry = getgrnam(name.c_str())) {
        return entry->gr_gid;
    }
    if (const auto number = as_number(name)) {
        return static_cast<gid_t>(*number);
    }
    return fail("there is no group \"" + name + '"');
}

std::string running_as() {
    const uid_t number = geteuid();
    const passwd* entry = getpwuid(number);
    return entry != nullptr ? entry->pw_name : std::to_string(number);
}

} // namespace ekey
