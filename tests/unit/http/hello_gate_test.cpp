// The gate before TLS handshakes, with clients on the loopback address: a Unix socket does not tell when so
// many bytes are there.
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

#include "ekeyd/http/hello_gate.h"
#include "tests/support/run_until.h"

using namespace ekey;
using namespace ekey::http;
using namespace std::chrono_literals;

namespace {

// A connected pair, and who the client is.
struct Pair {
    Fd client, server;
    IpAddress from = IpAddress::parse("127.0.0.1");
};

Pair connected() {
    const Fd listening(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof where;
    auto* const address = reinterpret_cast<sockaddr*>(&where);
    REQUIRE(bind(listening.get(), address, size) == 0);
    REQUIRE(listen(listening.get(), 1) == 0);
    REQUIRE(getsockname(listening.get(), address, &size) == 0);
    Pair made;
    made.client = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(connect(made.client.get(), address, size) == 0);
    made.server = Fd(accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    REQUIRE(made.server);
    return made;
}

struct Owner final : HelloGateOwner {
    std::vector<std::uint32_t> began, late, odd;
    std::vector<Fd> sockets;
    void on_hello(Fd socket, std::uint32_t place, const IpAddress&) override {
        began.push_back(place);
        sockets.push_back(std::move(socket));
    }
    void on_no_hello(std::uint32_t place, bool was_late) override {
        (was_late ? late : odd).push_back(place);
    }
};

struct Bench {
    explicit Bench(HelloGate::Patience patience) : gate(loop, owner, patience) {}
    Fd client(std::uint32_t place) {
        Pair pair = connected();
        gate.add(std::move(pair.server), place, pair.from);
        return std::move(pair.client);
    }
    bool until(const std::function<bool()>& done) { return RunUntil::holds(loop, done, 30s); }
    Loop loop;
    Owner owner;
    HelloGate gate;
};

void say(const Fd& to, const std::string& text) {
    static_cast<void>(send(to.get(), text.data(), text.size(), MSG_NOSIGNAL));
}

bool closed(const Fd& client) {
    char byte = 0;
    return recv(client.get(), &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
}

// RFC 8446, section 5.1: a handshake record, and its length. What is in it is the library's business.
const std::string whole = std::string("\x16\x03\x01\x00\x04", 5) + "abcd";
using Places = std::vector<std::uint32_t>;

} // namespace

TEST_CASE("promise 5: hello gate: who says nothing, or a byte at a time, is closed when the time for a "
          "record is over") {
    Bench bench({1s, 60s});
    const Time began = Loop::now();
    const Fd silent = bench.client(1), slow = bench.client(2);
    say(slow, std::string("\x16\x03\x01\x01\x00", 5)); // of 256 bytes
    Time next = began;
    CHECK(bench.until([&] {
        if (Loop::now() >= next && bench.gate.size() > 0) {
            next = Loop::now() + 500ms;
            say(slow, "a");
        }
        return bench.gate.size() == 0;
    }));
    CHECK(Loop::now() - began >= 1s);
    CHECK(bench.owner.late == Places{1, 2});
    CHECK(bench.owner.began.empty());
    CHECK(bench.owner.odd.empty());
    CHECK(closed(silent));
    CHECK(bench.until([&] { return closed(slow); }));
}

TEST_CASE("hello gate: a whole record goes on with all that was sent, byte by byte too; what is no TLS is "
          "closed at once") {
    Bench bench({60s, 60s});
    const Fd good = bench.client(1), slow = bench.client(2);
    say(good, whole + "more");
    CHECK(bench.until([&] { return bench.owner.began == Places{1}; }));
    for (const char byte : whole) {
        CHECK(bench.owner.began.size() == 1);
        say(slow, {byte});
        CHECK(bench.until([settled = 0]() mutable { return ++settled == 3; }));
    }
    CHECK(bench.until([&] { return bench.owner.began == Places{1, 2}; }));
    char got[32];
    CHECK(recv(bench.owner.sockets[0].get(), got, sizeof got, 0) == 13);
    CHECK(recv(bench.owner.sockets[1].get(), got, sizeof got, 0) == 9);
    const Fd http = bench.client(3);
    say(http, "GET / HTTP/1.1\r\n\r\n");
    std::optional<Fd> gone = bench.client(4);
    gone.reset();
    CHECK(bench.until([&] { return bench.owner.odd.size() == 2; }));
    CHECK(bench.owner.late.empty());
}

TEST_CASE("promise 5: hello gate: those beyond what their address may begin wait for their turn, and not for "
          "ever") {
    Bench bench({60s, 3s});
    constexpr std::uint32_t all = HandshakeLimits::most_of_address + 3;
    std::vector<Fd> clients;
    for (std::uint32_t place = 0; place < all; ++place) {
        clients.push_back(bench.client(place));
        say(clients.back(), whole);
    }
    CHECK(bench.until([&] { return bench.owner.began.size() == HandshakeLimits::most_of_address; }));
    CHECK(bench.gate.size() == 3);
    bench.gate.left(IpAddress::parse("127.0.0.1"));
    CHECK(bench.until([&] { return bench.owner.began.size() == HandshakeLimits::most_of_address + 1; }));
    CHECK(bench.until([&] { return bench.owner.late.size() == 2; }));
    CHECK(bench.gate.size() == 0);
}
