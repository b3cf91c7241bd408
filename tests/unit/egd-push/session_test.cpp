// Sessions: who is asked when, and what becomes of the answers. The servers are on the same loop.
#include <fcntl.h>

#include "session_fixture.h"

using namespace ekey;
using namespace std::chrono_literals;
using test::Server;
using Fixture = test::SessionFixture;

TEST_CASE_FIXTURE(Fixture, "session: pushes at once, then within every interval, over one connection") {
    Server server(loop, path("a"));
    start();
    CHECK(pushes(5));
    CHECK(server.connections == 1);
    CHECK(server.asked[0] == 64);
    CHECK(destination.credits[0] == 256); // a local socket: 4 bits a byte
    CHECK(first_pushes == 1);
    std::string all;
    for (const std::string& push : destination.pushes) {
        CHECK(push.size() == 64);
        all += push;
    }
    server.given = 0;
    CHECK(all == server.bytes(all.size())); // each byte once, in order
    CHECK(!finished);
}

TEST_CASE_FIXTURE(Fixture, "session: a push longer than a request is asked for in pieces and pushed whole") {
    Server server(loop, path("a"));
    options.bytes = 1000;
    options.interval = 1h;
    std::size_t answers = 0;
    server.answer = [&](std::size_t n) { return ++answers == 4 ? std::string() : server.bytes(n); };
    start();
    CHECK(until([&] { return server.asked.size() == 4; }));
    CHECK(server.asked == std::vector<std::size_t>{255, 255, 255, 235});
    CHECK(!until([&] { return !destination.pushes.empty(); }, 100ms)); // three of four pieces are no push
    std::string last = server.bytes(235);
    for (const char c : last) {
        server.send(std::string(1, c)); // byte by byte
    }
    CHECK(pushes(1));
    server.given = 0;
    CHECK(destination.pushes[0] == server.bytes(1000));
    CHECK(destination.credits[0] == 4000);
}

TEST_CASE_FIXTURE(Fixture,
                  "session: upstreams are pushed each when it answers; a dead or silent one delays none") {
    from("b");
    from("c");
    Server a(loop, path("a")), silent(loop, path("c"));
    silent.answer = [](std::size_t) { return ""; };
    start();
    CHECK(pushes(4));
    CHECK(silent.asked.size() == 1);
    // The dead one comes back and takes part.
    Server b(loop, path("b"));
    b.given = 100;
    CHECK(until([&] { return !b.asked.empty(); }));
}

TEST_CASE_FIXTURE(Fixture, "session: an upstream that restarts is connected to again") {
    Server server(loop, path("a"));
    start();
    CHECK(pushes(2));
    server.close();
    const std::size_t before = destination.pushes.size();
    server.listen();
    CHECK(until([&] { return destination.pushes.size() >= before + 2; }));
    CHECK(server.connections == 2);
}

TEST_CASE_FIXTURE(Fixture,
                  "session: one that dies in the middle of its answer gives nothing, and is tried again") {
    Server server(loop, path("a"));
    server.answer = [&](std::size_t) { return std::string(63, 'x'); };
    server.hang_up = true;
    start();
    CHECK(until([&] { return server.connections == 2; }));
    CHECK(destination.pushes.empty());
    server.answer = [&](std::size_t n) { return server.bytes(n); };
    CHECK(pushes(1));
    CHECK(destination.pushes[0].find('x') != 0);
}

TEST_CASE_FIXTURE(Fixture, "session: more bytes than were asked for are refused, at once or later") {
    Server server(loop, path("a"));
    server.answer = [&](std::size_t n) { return server.bytes(n + 1); };
    start();
    CHECK(until([&] { return server.connections == 2; }));
    CHECK(destination.pushes.empty());
    server.answer = [&](std::size_t n) { return server.bytes(n); };
    CHECK(pushes(1));
    const auto connections = server.connections;
    server.send("unasked");
    CHECK(until([&] { return server.connections == connections + 1; }));
}

TEST_CASE_FIXTURE(Fixture, "session: one that never answers runs out of time") {
    Server server(loop, path("a"));
    server.answer = [](std::size_t) { return ""; };
    options.timeout = 50ms;
    options.once = true;
    start();
    CHECK(ends());
    CHECK(!*finished);
    CHECK(server.asked.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "session: back-off: a dead upstream is not asked in a loop") {
    Server server(loop, path("a"));
    server.answer = [](std::size_t) { return "short"; };
    server.hang_up = true;
    start();
    CHECK(!until([&] { return server.connections > 6; }, 1300ms)); // the waits are up to 1, 2, 4, ... s
}

TEST_CASE_FIXTURE(Fixture,
                  "session: --once with one good and one dead upstream succeeds, after both were tried") {
    from("b");
    Server b(loop, path("b"));
    options.once = true;
    start();
    CHECK(ends());
    CHECK(*finished);
    CHECK(destination.pushes.size() == 1);
    CHECK(!until([&] { return b.asked.size() > 1; }, 100ms));
}

TEST_CASE_FIXTURE(Fixture, "session: --once when nobody is there fails, even before the loop runs") {
    from("b");
    options.once = true;
    start();
    REQUIRE(finished);
    CHECK(!*finished);
    CHECK(first_pushes == 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "session: a file or stream gets one mixture of all upstreams, of exactly N bytes") {
    from("b");
    from("c"); // dead
    destination.kernel = false;
    options.once = true;
    Server a(loop, path("a")), b(loop, path("b"));
    b.given = 50;
    start();
    CHECK(ends());
    CHECK(*finished);
    REQUIRE(destination.pushes.size() == 1);
    CHECK(destination.pushes[0].size() == 64);
    a.given = 0;
    b.given = 50;
    CHECK(destination.pushes[0] != a.bytes(64));
    CHECK(destination.pushes[0] != b.bytes(64));
}

TEST_CASE_FIXTURE(Fixture,
                  "session: a destination that takes nothing is not fetched for; one that is gone ends it") {
    Server server(loop, path("a"));
    destination.kernel = destination.takes = false;
    start();
    CHECK(!until([&] { return server.connections > 0; }, 200ms));
    destination.takes = true;
    CHECK(pushes(1));
    destination.trouble = "closed";
    destination.is_gone = true;
    CHECK(ends());
    CHECK(!*finished);
}

TEST_CASE_FIXTURE(Fixture, "session: one value again and again is pushed without credit") {
    Server server(loop, path("a"));
    server.answer = [](std::size_t n) { return std::string(n, 'A'); };
    start();
    CHECK(pushes(1));
    CHECK(destination.credits[0] == 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "session: an old kernel that asks is served before the timer, once a second at most") {
    int ends_of[2];
    REQUIRE(pipe2(ends_of, O_CLOEXEC) == 0);
    const Fd reader(ends_of[0]), writer(ends_of[1]); // writable for ever
    destination.need = writer.get();
    options.interval = 1h;
    Server server(loop, path("a"));
    const Time begin = Loop::now();
    start();
    CHECK(pushes(2));
    CHECK(Loop::now() - begin > 900ms);
    // Where credit does not count, the kernel would ask for ever.
    destination.may_credit = false;
    CHECK(pushes(3));
    CHECK(!until([&] { return destination.pushes.size() > 3; }, 1300ms));
}

TEST_CASE_FIXTURE(Fixture, "session: wake-ups delay no push that would have come without them") {
    Server server(loop,
                  path("a")); // the interval is 50 ms, and a wake-up's push comes a second after the last
    start();
    const Time begin = Loop::now();
    CHECK(until([&] {
        session->push_soon();
        return destination.pushes.size() >= 10;
    }));
    CHECK(Loop::now() - begin < 8s); // put off to a second each they would take nine
}

TEST_CASE_FIXTURE(Fixture, "session: a wake-up while an answer is awaited brings another push after it") {
    options.interval = 1h;
    Server server(loop, path("a"));
    bool held = true;
    server.answer = [&](std::size_t n) { return held ? std::string() : server.bytes(n); };
    start();
    CHECK(until([&] { return !server.asked.empty(); }));
    session->push_soon();
    held = false;
    server.send(server.bytes(64));
    CHECK(pushes(2));
    CHECK(server.asked.size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "session: a wake-up brings a push at once, and many bring no storm") {
    options.interval = 1h;
    Server server(loop, path("a"));
    start();
    CHECK(pushes(1));
    for (int i = 0; i < 100; ++i) {
        session->push_soon();
    }
    CHECK(pushes(2));
    CHECK(!until([&] { return destination.pushes.size() > 2; }, 100ms));
}
