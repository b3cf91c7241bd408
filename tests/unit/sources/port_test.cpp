#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include <pty.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>

#include "ekeyd/sources/port.h"

using namespace ekey;

namespace {

struct Pty {
    Fd master, slave;
    std::string path;
    Pty() {
        int m = -1, s = -1;
        char name[128];
        REQUIRE(openpty(&m, &s, name, nullptr, nullptr) == 0);
        master.reset(m);
        slave.reset(s);
        path = name;
    }
};

} // namespace

TEST_CASE("a tty is opened raw, eight bits, and without HUPCL") {
    const Pty pty;
    const auto port = open_port(pty.path);
    REQUIRE(port);
    termios t{};
    REQUIRE(tcgetattr(port->get(), &t) == 0);
    CHECK((t.c_lflag & (ICANON | ECHO | ISIG)) == 0);
    CHECK((t.c_iflag & (IXON | ICRNL)) == 0);
    CHECK((t.c_oflag & OPOST) == 0);
    CHECK((t.c_cflag & CSIZE) == CS8);
    CHECK((t.c_cflag & HUPCL) == 0);
    CHECK((t.c_cflag & CLOCAL) != 0);
}

TEST_CASE("two programs cannot share one dongle") {
    const Pty pty;
    const auto first = open_port(pty.path);
    REQUIRE(first);
    const auto second = open_port(pty.path);
    REQUIRE_FALSE(second);
    CHECK(second.error().what ==
          pty.path + ": is in use: another program holds its lock, or this one has it under another name");
}

TEST_CASE("what is no tty and no socket is refused by name") {
    CHECK(open_port("/nonexistent").error().what == "/nonexistent: No such file or directory");
    CHECK(open_port("/dev/null").error().what == "/dev/null: is neither a tty nor a Unix socket");
    CHECK(open_port("/tmp").error().what == "/tmp: is neither a tty nor a Unix socket");
}

TEST_CASE("a Unix socket in a tty's place is connected to; a dead one is an error") {
    char folder[] = "/tmp/ekeyd-port-test-XXXXXX";
    REQUIRE(mkdtemp(folder) != nullptr);
    const std::string path = std::string(folder) + "/key";
    {
        const Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(listen(listener.get(), 1) == 0);
        CHECK(open_port(path));
    }
    const auto dead = open_port(path);
    REQUIRE_FALSE(dead);
    CHECK(dead.error().what == path + ": cannot connect: Connection refused");
    std::filesystem::remove_all(folder);
}
