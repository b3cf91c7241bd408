#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "ekeyd/control/server.h"
#include "tests/unit/control/fake_subject.h"

using namespace ekey;
using namespace ekey::control;

namespace {

const std::string greeting_line = "PROTOCOL EKEYD/1\n";
const std::string empty_list = "*\tNR\tOK\tStatus\tPath\tSerialNo\nOK\n";

struct Fixture {
    Loop loop;
    FakeSubject subject;
    ControlServer server{loop, subject};

    Fd connect() {
        int pair[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        server.adopt(Fd(pair[1]));
        return Fd(pair[0]);
    }
};

void run_ready(Loop& loop) { // what is ready now, and what that makes ready
    for (int i = 0; i < 20; ++i) {
        ev_run(loop.raw(), EVRUN_NOWAIT);
    }
}

void write_all(const Fd& fd, std::string_view text) {
    REQUIRE(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

// What is there to read; "<end>" once the server has closed.
std::string read_ready(const Fd& fd) {
    std::string out;
    char piece[65536];
    for (;;) {
        const ssize_t got = ::recv(fd.get(), piece, sizeof piece, MSG_DONTWAIT);
        if (got <= 0) {
            return got == 0 || errno == ECONNRESET ? out + "<end>" : out;
        }
        out.append(piece, static_cast<std::size_t>(got));
    }
}

} // namespace

TEST_CASE("control server: greets, answers, says goodbye") {
    Fixture f;
    const Fd client = f.connect();
    CHECK(read_ready(client) == greeting_line);
    write_all(client, "ListEntropyKeys\nBye\n");
    run_ready(f.loop);
    CHECK(read_ready(client) == empty_list + "OK Good bye\n<end>");
    CHECK(f.server.clients() == 0);
}

TEST_CASE("control server: the client of 1.1.5 sends Shutdown and is gone at once") {
    Fixture f;
    {
        const Fd client = f.connect();
        write_all(client, "Shutdown\n");
    }
    run_ready(f.loop);
    CHECK(f.subject.calls == std::vector<std::string>{"shutdown"});
    CHECK(f.server.clients() == 0);
}

TEST_CASE("control server: a client that stopped sending gets its answers") {
    Fixture f;
    const Fd client = f.connect();
    write_all(client, "ListEntropyKeys");
    shutdown(client.get(), SHUT_WR);
    run_ready(f.loop);
    CHECK(read_ready(client) == greeting_line + empty_list + "<end>");
    CHECK(f.server.clients() == 0);
}

TEST_CASE("control server: promise 5: one that never reads and one that vanishes cost the others nothing") {
    Fixture f;
    const Fd deaf = f.connect();
    std::string commands;
    for (int i = 0; i < 200; ++i) {
        commands += "ListEntropyKeys\n";
    }
    int sent = 0;
    while (sent < 5000 &&
           ::send(deaf.get(), commands.data(), commands.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        ++sent;
        run_ready(f.loop);
    }
    CHECK(sent < 5000); // the kernel's buffers are full: the server has stopped listening to it
    {
        const Fd gone = f.connect();
        write_all(gone, "ListEnt");
    }
    const Fd other = f.connect();
    write_all(other, "ListEntropyKeys\n");
    run_ready(f.loop);
    CHECK(read_ready(other) == greeting_line + empty_list);
    CHECK(f.server.clients() == 2);
}

TEST_CASE(
    "control server: a capture ends when its client is gone, and survives one that only stopped sending") {
    Fixture f;
    f.subject.rows = {row(1, true, "Running OK", "/dev/a")};
    {
        const Fd client = f.connect();
        write_all(client, "Capture(1, 1000)\n");
        run_ready(f.loop);
        REQUIRE(f.subject.receiver != nullptr);
        CHECK(read_ready(client) == greeting_line); // what is left unread would make a reset of the end
    }
    run_ready(f.loop);
    CHECK(f.subject.receiver == nullptr);
    CHECK(f.server.clients() == 0);

    const Fd client = f.connect();
    write_all(client, "Capture(1, 3)");
    shutdown(client.get(), SHUT_WR);
    run_ready(f.loop);
    REQUIRE(f.subject.receiver != nullptr);
    f.subject.deliver(as_bytes("foo"));
    run_ready(f.loop);
    CHECK(read_ready(client) == greeting_line + "*\tZm9v\nOK\n<end>");
    CHECK(f.server.clients() == 0);
}

TEST_CASE("control server: of too many clients, the one idle for longest gives way") {
    Fixture f;
    std::vector<Fd> all;
    for (std::size_t i = 0; i < ControlServer::most_clients; ++i) {
        all.push_back(f.connect());
    }
    write_all(all[0], "Version\n"); // so it is not idle
    run_ready(f.loop);
    const Fd late = f.connect();
    CHECK(f.server.clients() == ControlServer::most_clients);
    CHECK(read_ready(late) == greeting_line);
    CHECK(read_ready(all[0]).starts_with(greeting_line + "OK ekeyd"));
    CHECK_FALSE(read_ready(all[0]).ends_with("<end>"));
    CHECK(read_ready(all[1]) == greeting_line + "<end>");
    CHECK(read_ready(all[2]) == greeting_line);
}

TEST_CASE("control server: listens on a Unix socket of mode 0600, and removes it") {
    char folder[] = "/tmp/ekeyd-control-XXXXXX";
    REQUIRE(mkdtemp(folder) != nullptr);
    const std::string path = std::string(folder) + "/ekeyd.sock";
    {
        Fixture f;
        const auto address = config::parse_address("unix:" + path).value();
        auto server = ControlServer::open(f.loop, f.subject, address);
        REQUIRE(server.has_value());
        CHECK((*server)->address() == "unix:" + path);
        CHECK(std::filesystem::status(path).permissions() == std::filesystem::perms(0600));
        const auto client = connect_unix(path);
        REQUIRE(client.has_value());
        run_ready(f.loop);
        CHECK(read_ready(*client) == greeting_line);
        const auto again = ControlServer::open(f.loop, f.subject, address);
        REQUIRE_FALSE(again.has_value());
        CHECK(again.error().what.find("is ekeyd running already?") != std::string::npos);
    }
    CHECK_FALSE(std::filesystem::exists(path));
    std::filesystem::remove_all(folder);
}

TEST_CASE("control server: listens on TCP of this host only") {
    Fixture f;
    const auto open = [&](const char* text) {
        return ControlServer::open(f.loop, f.subject, config::parse_address(text).value());
    };
    REQUIRE(open("tcp:127.0.0.1:0").has_value());
    REQUIRE(open("tcp:localhost:0").has_value());
    for (const char* bad :
         {"tcp:0.0.0.0:0", "tcp:[::]:0", "tcp:192.0.2.1:0", "tcp:127.evil:0", "tcp:127.0.0.1:0,mode=1"}) {
        CAPTURE(bad);
        CHECK_FALSE(open(bad).has_value());
    }
    const Fd taken(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(taken.get(), generic, size) == 0);
    REQUIRE(listen(taken.get(), 1) == 0);
    REQUIRE(getsockname(taken.get(), generic, &size) == 0);
    const std::string text = "tcp:127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    const auto refused = open(text.c_str());
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().what ==
          "cannot listen on " + text.substr(4) + ": the port is in use by another program");
}
