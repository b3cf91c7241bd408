#include <doctest/doctest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ekeyd/runtime/unix_socket.h"

using ekey::UnixListener;
namespace fs = std::filesystem;

namespace {

// A folder that is gone at the end of the test.
struct Folder {
    Folder() {
        char name[] = "/tmp/ekeyd-socket-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        path = name;
    }
    ~Folder() { fs::remove_all(path); }
    std::string path;
};

UnixListener::Options at(std::string path, unsigned mode = 0600) {
    UnixListener::Options options;
    options.path = std::move(path);
    options.mode = mode;
    return options;
}

unsigned mode_of(const std::string& path) {
    struct stat about {};
    REQUIRE(lstat(path.c_str(), &about) == 0);
    return about.st_mode & 07777;
}

std::string refused(const ekey::Result<UnixListener>& result) {
    REQUIRE_FALSE(result.has_value());
    return result.error().what;
}

} // namespace

TEST_CASE("unix socket: listens with the mode asked for whatever the umask, and removes its path") {
    const Folder folder;
    const std::string path = folder.path + "/s";
    const mode_t before = umask(0077);
    {
        const auto open = UnixListener::open(at(path, 0666));
        REQUIRE(open.has_value());
        CHECK(mode_of(path) == 0666);
        const auto client = ekey::connect_unix(path);
        REQUIRE(client.has_value());
        const ekey::Fd served(accept4(open->fd(), nullptr, nullptr, SOCK_CLOEXEC));
        CHECK(served);
        errno = 0;
        CHECK(accept4(open->fd(), nullptr, nullptr, SOCK_CLOEXEC) == -1); // does not block
        CHECK(errno == EAGAIN);
    }
    umask(before);
    CHECK_FALSE(fs::exists(path));
    CHECK(ekey::connect_unix(path).error().what == "No such file or directory");
}

TEST_CASE("unix socket: one left by a killed process is replaced") {
    const Folder folder;
    const std::string path = folder.path + "/s";
    {
        auto killed = UnixListener::open(at(path));
        fs::rename(path, path + ".kept"); // so that the destructor leaves it, as SIGKILL does
    }
    fs::rename(path + ".kept", path);
    REQUIRE(fs::is_socket(path));
    const auto open = UnixListener::open(at(path));
    REQUIRE(open.has_value());
    CHECK(ekey::connect_unix(path).has_value());
}

TEST_CASE("unix socket: a listener in use and other files are left alone") {
    const Folder folder;
    const std::string path = folder.path + "/s";
    const auto first = UnixListener::open(at(path));
    REQUIRE(first.has_value());
    CHECK(refused(UnixListener::open(at(path))) ==
          "cannot listen on " + path + ": another program listens there: is ekeyd running already?");
    CHECK(ekey::connect_unix(path).has_value());

    const std::string file = folder.path + "/file";
    std::ofstream(file) << "precious";
    CHECK(refused(UnixListener::open(at(file))).find("no socket is there") != std::string::npos);
    CHECK(fs::file_size(file) == 8);
    fs::create_symlink(path, folder.path + "/link");
    CHECK(refused(UnixListener::open(at(folder.path + "/link"))).find("no socket is there") !=
          std::string::npos);
}

TEST_CASE("unix socket: a listener with a full backlog counts as in use") {
    const Folder folder;
    auto options = at(folder.path + "/s");
    options.backlog = 0;
    const auto first = UnixListener::open(options);
    const auto client = ekey::connect_unix(options.path); // fills it
    REQUIRE(client.has_value());
    CHECK(refused(UnixListener::open(options)).find("another program listens there") != std::string::npos);
}

TEST_CASE("unix socket: what another put at the path is not removed") {
    const Folder folder;
    const std::string path = folder.path + "/s";
    {
        auto first = UnixListener::open(at(path));
        auto moved = std::move(*first);
        fs::remove(path);
        std::ofstream(path) << "another's";
    }
    CHECK(fs::exists(path));
}

TEST_CASE("unix socket: the last folder is made, and only that") {
    const Folder folder;
    const auto open = UnixListener::open(at(folder.path + "/run/s"));
    CHECK(open.has_value());
    CHECK(refused(UnixListener::open(at(folder.path + "/a/b/s"))).ends_with("No such file or directory"));
}

TEST_CASE(
    "unix socket: users, groups and lengths that do not exist are refused, and nothing is left behind") {
    const Folder folder;
    auto options = at(folder.path + "/s");
    options.user = "no-such-user";
    CHECK(refused(UnixListener::open(options)).ends_with("there is no user \"no-such-user\""));
    options.user = "";
    options.group = "no-such-group";
    CHECK(refused(UnixListener::open(options)).ends_with("there is no group \"no-such-group\""));
    CHECK_FALSE(fs::exists(options.path));
    CHECK(refused(UnixListener::open(at("/" + std::string(107, 'x')))).ends_with("1 to 107 bytes"));
    CHECK(ekey::connect_unix(std::string(108, 'x')).error().what.ends_with("1 to 107 bytes"));
    options.group = std::to_string(getegid());
    CHECK(UnixListener::open(options).has_value());
}

namespace {

constexpr uid_t other_daemon = 12001, user = 12002, member = 12003, stranger = 12004;
constexpr gid_t own_group = 12001, named_group = 12005;

bool become(uid_t uid, gid_t gid) {
    return setgroups(0, nullptr) == 0 && setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0;
}

bool connects(const std::string& path, uid_t uid, gid_t gid) {
    const pid_t child = fork();
    if (child == 0) {
        _exit(become(uid, gid) && ekey::connect_unix(path) ? 0 : 1);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && status == 0;
}

// A process of the user other_daemon that listens until this is gone.
class OtherListener {
  public:
    explicit OtherListener(const UnixListener::Options& options) {
        int ready[2], end[2];
        REQUIRE(pipe2(ready, O_CLOEXEC) == 0);
        REQUIRE(pipe2(end, O_CLOEXEC) == 0);
        child_ = fork();
        if (child_ == 0) {
            close(end[1]);
            const bool is = become(other_daemon, own_group);
            const auto open = UnixListener::open(options);
            char byte = is && open ? 'y' : 'n';
            byte = write(ready[1], &byte, 1) == 1 && read(end[0], &byte, 1) == 0 ? 0 : 1;
            _exit(byte);
        }
        close(ready[1]);
        close(end[0]);
        end_.reset(end[1]);
        const ekey::Fd said(ready[0]);
        listens = read(said.get(), &byte_, 1) == 1 && byte_ == 'y';
    }
    OtherListener(const OtherListener&) = delete;
    OtherListener& operator=(const OtherListener&) = delete;
    ~OtherListener() {
        end_.reset();
        waitpid(child_, nullptr, 0);
    }
    bool listens = false;

  private:
    pid_t child_ = -1;
    char byte_ = 0;
    ekey::Fd end_;
};

} // namespace

TEST_CASE(
    "unix socket: who may not give it away lets in the user and the group that he names, and nobody else") {
    if (geteuid() != 0) {
        return;
    }
    struct Case {
        unsigned mode;
        bool to_user, to_group;               // named
        bool user, member, own_group, others; // let in
    };
    for (const Case& one :
         {Case{0600, true, false, true, false, false, false},
          Case{0660, false, true, false, true, false, false},
          Case{0660, true, true, true, true, false, false}, Case{0660, true, false, true, false, true, false},
          Case{0666, false, true, true, true, false, true}}) {
        CAPTURE(one.mode);
        CAPTURE(one.to_user);
        CAPTURE(one.to_group);
        const Folder folder;
        REQUIRE(chmod(folder.path.c_str(), 0777) == 0);
        const std::string path = folder.path + "/s";
        auto options = at(path, one.mode);
        options.user = one.to_user ? std::to_string(user) : "";
        options.group = one.to_group ? std::to_string(named_group) : "";
        const OtherListener listener(options);
        REQUIRE(listener.listens);
        CHECK(connects(path, other_daemon, stranger));
        CHECK(connects(path, user, stranger) == one.user);
        CHECK(connects(path, member, named_group) == one.member);
        CHECK(connects(path, member, own_group) == one.own_group);
        CHECK(connects(path, stranger, stranger) == one.others);
    }
}

TEST_CASE("unix socket: mode, user and group change while it listens, and back; whom they named is let in no "
          "more") {
    if (geteuid() != 0) {
        return;
    }
    const Folder folder;
    REQUIRE(chmod(folder.path.c_str(), 0777) == 0);
    const std::string path = folder.path + "/s";
    const auto closed = at(path, 0600);
    auto open = UnixListener::open(closed).value();
    const auto reached = [&](uid_t uid, gid_t gid) { return connects(path, uid, gid); };
    CHECK_FALSE(reached(user, stranger));
    auto shared = at(path, 0660);
    shared.user = std::to_string(user);
    shared.group = std::to_string(named_group);
    CHECK_FALSE(closed.same_access(shared));
    REQUIRE(open.change_access(shared));
    CHECK(reached(user, stranger));
    CHECK(reached(member, named_group));
    CHECK_FALSE(reached(stranger, stranger));
    REQUIRE(open.change_access(closed));
    CHECK_FALSE(reached(user, stranger));
    CHECK_FALSE(reached(member, named_group));
    CHECK(mode_of(path) == 0600);
    shared.group = "no-such-group";
    CHECK(open.change_access(shared).error().what.ends_with("there is no group \"no-such-group\""));
    CHECK(mode_of(path) == 0600);
    fs::remove(path);
    std::ofstream(path) << "another's";
    CHECK(open.change_access(at(path, 0666)).error().what.find("another file") != std::string::npos);
    CHECK(mode_of(path) != 0666);
}
