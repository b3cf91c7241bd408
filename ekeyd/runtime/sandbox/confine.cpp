#include "ekeyd/runtime/sandbox.h"

#include <cassert>
#include <cerrno>
#include <cstring>

#include <sys/prctl.h>

#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/sandbox/landlock.h"
#include "ekeyd/runtime/sandbox/seccomp.h"

namespace ekey {

namespace {

void add(std::string& list, const std::string& item) {
    list += (list.empty() ? "" : "; ") + item;
}

// Both kinds of confinement ask for it, and it is of use without them.
void forbid_new_privileges(Confinement& confinement) {
    confinement.on = true;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        add(confinement.lacking, std::string("no new privileges: ") + std::strerror(errno));
    }
}

} // namespace

Sandbox parse_sandbox(std::string_view word) {
    assert(word == "no" || word == "yes" || word == "strict");
    return word == "no" ? Sandbox::no : word == "strict" ? Sandbox::strict : Sandbox::yes;
}

std::string holding_folder(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

FileRules common_file_rules() {
    return {
        // The whole of it: names and name servers, users, keyrings and peers are files there that are
        // replaced
        // by renaming. What nobody but root may read is guarded by running as another user.
        {"/etc", FileUse::read},
        // Where links from /etc lead (resolv.conf), and what udev tells of devices.
        {"/run", FileUse::read},
        {"/sys", FileUse::read},
        // Modules that look up names are loaded when a name is; time zones.
        {"/usr", FileUse::read},
        {"/lib", FileUse::read},
        {"/lib64", FileUse::read},
        // Dongles, also those that come later; the kernel's random pool.
        {"/dev", FileUse::devices},
    };
}

Result<void> confine_files(Confinement& confinement, Sandbox sandbox, const FileRules& rules) {
    if (sandbox == Sandbox::no) {
        return {};
    }
    forbid_new_privileges(confinement);
    const auto version = restrict_files(rules);
    if (version) {
        confinement.landlock = *version;
    } else {
        add(confinement.lacking, "Landlock: " + version.error().what);
    }
    return {};
}

Result<void> confine_calls(Confinement& confinement, Sandbox sandbox) {
    if (sandbox == Sandbox::no) {
        return {};
    }
    forbid_new_privileges(confinement);
    const auto filtered = filter_calls(sandbox == Sandbox::strict);
    confinement.calls = filtered.has_value();
    if (!filtered) {
        add(confinement.lacking, "seccomp: " + filtered.error().what);
        if (sandbox == Sandbox::strict) {
            return fail("sandbox is strict, and system calls cannot be filtered: " + filtered.error().what);
        }
    }
    return {};
}

void log_confinement(const Confinement& confinement) {
    if (!confinement.on) {
        log::notice("the sandbox is off");
        return;
    }
    const std::string files =
        confinement.landlock > 0 ? "Landlock, version " + std::to_string(confinement.landlock) : "as before";
    const char* calls = confinement.calls ? "filtered" : "as before";
    if (confinement.lacking.empty()) {
        log::info("sandbox", {{"system_calls", calls}, {"files", files}});
    } else {
        log::notice("sandbox, in part",
                    {{"system_calls", calls}, {"files", files}, {"lacking", confinement.lacking}});
    }
}

} // namespace ekey
