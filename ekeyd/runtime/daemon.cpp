#include "ekeyd/runtime/daemon.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

// The parent's part: waits for one byte (ready) or the end of the child.
[[noreturn]] void wait_for_child(int fd, pid_t child) {
    char byte = 0;
    ssize_t got = 0;
    do {
        got = ::read(fd, &byte, 1);
    } while (got < 0 && errno == EINTR);
    if (got == 1) {
        _exit(0);
    }
    int status = 1 << 8; // as if it had ended with 1
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

bool is_user(uid_t uid) {
    uid_t real = 0, effective = 0, saved = 0;
    return getresuid(&real, &effective, &saved) == 0 && real == uid && effective == uid && saved == uid;
}

bool is_group(gid_t gid) {
    gid_t real = 0, effective = 0, saved = 0;
    return getresgid(&real, &effective, &saved) == 0 && real == gid && effective == gid && saved == gid;
}

} // namespace

Result<Background> Background::enter(bool background) {
    Background self;
    if (!background) {
        return self;
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return fail(std::string("cannot go to the background: ") + std::strerror(errno));
    }
    Fd reader(ends[0]);
    self.parent_.reset(ends[1]);
    const pid_t child = fork();
    if (child < 0) {
        return fail(std::string("cannot go to the background: ") + std::strerror(errno));
    }
    if (child > 0) {
        self.parent_.reset();
        wait_for_child(reader.get(), child);
    }
    setsid();
    return self;
}

void Background::ready() {
    if (!parent_) {
        return;
    }
    if (chdir("/") != 0) {
        // Only keeps a file system busy; nothing to mend.
    }
    Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (null) {
        dup2(null.get(), STDIN_FILENO);
        dup2(null.get(), STDOUT_FILENO);
        dup2(null.get(), STDERR_FILENO);
    }
    const char byte = 1;
    [[maybe_unused]] const ssize_t ignored = ::write(parent_.get(), &byte, 1);
    parent_.reset();
}

Result<PidFile> PidFile::write(const std::string& path) {
    PidFile self;
    if (path.empty()) {
        return self;
    }
    self.fd_.reset(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!self.fd_) {
        return fail(path + ": the pid file cannot be written: " + std::strerror(errno));
    }
    if (flock(self.fd_.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return fail(path + ": the pid file cannot be locked: " + std::strerror(errno));
        }
        char text[32] = {};
        const ssize_t got = pread(self.fd_.get(), text, sizeof text - 1, 0);
        return fail(path + ": ekeyd runs already" +
                    (got > 0 ? ", as process " + std::to_string(std::strtol(text, nullptr, 10)) : ""));
    }
    const std::string text = std::to_string(getpid()) + "\n";
    if (ftruncate(self.fd_.get(), 0) != 0 ||
        pwrite(self.fd_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
        return fail(path + ": the pid file cannot be written: " + std::strerror(errno));
    }
    self.path_ = path;
    return self;
}

PidFile::~PidFile() {
    struct stat ours {
    }, there{};
    if (!path_.empty() && fstat(fd_.get(), &ours) == 0 && lstat(path_.c_str(), &there) == 0 &&
        ours.st_ino == there.st_ino && ours.st_dev == there.st_dev && unlink(path_.c_str()) != 0) {
        log::warning("the pid file is left behind", {{"path", path_}, {"reason", std::strerror(errno)}});
    }
}

unsigned long raise_open_files_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

Result<void> drop_privileges(const std::string& user, const std::string& group, bool keep_sys_admin) {
    if (user.empty() && group.empty()) {
        return {};
    }
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (!user.empty()) {
        const passwd* entry = getpwnam(user.c_str());
        if (entry == nullptr) {
            return fail("user '" + user + "' does not exist");
        }
        uid = entry->pw_uid;
        gid = entry->pw_gid;
    }
    if (!group.empty()) {
        const struct group* entry = getgrnam(group.c_str());
        if (entry == nullptr) {
            return fail("group '" + group + "' does not exist");
        }
        gid = entry->gr_gid;
    }
    // A service manager has done it (User=), with the capabilities that it grants, and set its groups.
    if (uid != 0 && is_user(uid) && is_group(gid)) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        return {};
    }
    const bool keep = keep_sys_admin && uid != 0;
    if (keep) {
        prctl(PR_SET_KEEPCAPS, 1);
    }
    const bool groups_set = user.empty() ? setgroups(0, nullptr) == 0 : initgroups(user.c_str(), gid) == 0;
    if (!groups_set || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) {
        return fail("cannot run as user '" + user + "' group '" + group + "': " + std::strerror(errno));
    }
    if (keep) {
        const cap_t kept = cap_from_text("cap_sys_admin=ep");
        const bool set = kept != nullptr && cap_set_proc(kept) == 0;
        cap_free(kept);
        if (!set) {
            return fail(std::string("cannot keep the right to credit entropy (CAP_SYS_ADMIN): ") +
                        std::strerror(errno));
        }
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0); // a change of user may have turned it on again
    return {};
}

} // namespace ekey
