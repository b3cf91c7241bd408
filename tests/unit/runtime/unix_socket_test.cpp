#include <doctest/doctest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <sys/socket.h>
#include <sys/stat.h>

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
