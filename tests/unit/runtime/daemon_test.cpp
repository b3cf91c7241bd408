#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <pwd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ekeyd/runtime/daemon.h"

using namespace ekey;
namespace fs = std::filesystem;

namespace {

struct Folder {
    std::string path;
    Folder() {
        char name[] = "/tmp/ekeyd-daemon-test-XXXXXX";
        path = mkdtemp(name);
    }
    ~Folder() { fs::remove_all(path); }
};

std::string first_line(const std::string& path) {
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);
    return line;
}

} // namespace

TEST_CASE("the pid file holds the process id and goes with its owner") {
    const Folder folder;
    const std::string path = folder.path + "/pid";
    {
        const auto file = PidFile::write(path);
        REQUIRE(file);
        CHECK(first_line(path) == std::to_string(getpid()));
    }
    CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a second daemon is told who holds the pid file, and leaves it alone") {
    const Folder folder;
    const std::string path = folder.path + "/pid";
    const auto first = PidFile::write(path);
    REQUIRE(first);
    const auto second = PidFile::write(path);
    REQUIRE_FALSE(second);
    CHECK(second.error().what == path + ": ekeyd runs already, as process " + std::to_string(getpid()));
    CHECK(first_line(path) == std::to_string(getpid()));
}

TEST_CASE("a pid file left by a killed daemon is taken over") {
    const Folder folder;
    const std::string path = folder.path + "/pid";
    std::ofstream(path) << "1234567890\n";
    const auto file = PidFile::write(path);
    REQUIRE(file);
    CHECK(first_line(path) == std::to_string(getpid()));
}

TEST_CASE("a pid file that cannot be written is named") {
    const auto file = PidFile::write("/nonexistent/pid");
    REQUIRE_FALSE(file);
    CHECK(file.error().what == "/nonexistent/pid: the pid file cannot be written: No such file or directory");
}

TEST_CASE("the limit of open files is raised as far as it may be") {
    const pid_t child = fork();
    if (child == 0) {
        rlimit limit{};
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = 64;
        setrlimit(RLIMIT_NOFILE, &limit);
        const unsigned long now = raise_open_files_limit();
        rlimit after{};
        getrlimit(RLIMIT_NOFILE, &after);
        _exit(now == limit.rlim_max && after.rlim_cur == limit.rlim_max ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("an unknown user or group is named") {
    const auto user = drop_privileges("no-such-user", "", false);
    REQUIRE_FALSE(user);
    CHECK(user.error().what == "user 'no-such-user' does not exist");
    const auto group = drop_privileges("", "no-such-group", false);
    REQUIRE_FALSE(group);
    CHECK(group.error().what == "group 'no-such-group' does not exist");
}

TEST_CASE("who starts the daemon waits until it is ready, and gets its status when it does not come up") {
    const auto outcome = [](bool comes_up) {
        const pid_t parent = fork();
        if (parent == 0) {
            auto background = Background::enter(true); // returns in the child of the child
            if (!background) {
                _exit(99);
            }
            if (comes_up) {
                background->ready();
            }
            _exit(comes_up ? 3 : 2);
        }
        int status = 0;
        waitpid(parent, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    };
    CHECK(outcome(true) == 0);
    CHECK(outcome(false) == 2);
}

TEST_CASE("who runs as that user already stays as he is, and needs no privilege for it") {
    if (geteuid() != 0) {
        return;
    }
    const pid_t child = fork();
    if (child == 0) {
        const passwd* nobody = getpwnam("nobody");
        const bool changed = setresgid(nobody->pw_gid, nobody->pw_gid, nobody->pw_gid) == 0 &&
                             setresuid(nobody->pw_uid, nobody->pw_uid, nobody->pw_uid) == 0;
        const bool same = drop_privileges("nobody", "", true).has_value();
        const bool other = drop_privileges("daemon", "", true).has_value();
        _exit(changed && same && !other ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}
