// Clients that stop reading, talk nonsense or go away.
#include <algorithm>
#include <memory>
#include <string>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ekeyd/listeners/client_table.h"
#include "fixture.h"

using namespace ekey;
using test::Fixture;
using test::Peer;
using test::stream;
using namespace std::string_literals;

namespace {

// Keeps the pool full while `peer` asks and does not read, until nothing is taken any more.
void ask_until_stalled(Fixture& f, Peer& peer) {
    std::string requests;
    for (int i = 0; i < 32; ++i) {
        requests += "\x02\xff";
    }
    for (int quiet = 0; quiet < 20;) {
        const std::uint64_t before = f.pool.counters().bytes_out;
        peer.send_some(requests);
        f.feed(f.pool.room());
        f.settle();
        quiet = f.pool.counters().bytes_out == before ? quiet + 1 : 0;
    }
}

} // namespace

TEST_CASE(
    "promise 4: a client that does not read is not served on, and loses and doubles nothing when it does") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        Peer peer(f, kind == "tcp" ? 4096 : 0);
        ask_until_stalled(f, peer);
        const std::size_t taken = f.pool.counters().bytes_out;
        CHECK(taken > 255 * 40);
        CHECK(f.counters().waiting == 0);

        Peer other(f); // promise 5: others are served on
        other.send("\x02\x20");
        CHECK(other.read_once() == stream(taken, 32));

        // All that was taken for the first is still its own, in order.
        CHECK(peer.read(taken) == stream(0, taken));
        // And it is served again: its next answers begin where the other's ended.
        f.feed(f.pool.room());
        peer.send_some("\x02\xff");
        CHECK(peer.read(255) == stream(taken + 32, 255));
    }
}

TEST_CASE("promise 5: a stalled client may vanish") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        auto peer = std::make_unique<Peer>(f, kind == "tcp" ? 4096 : 0);
        ask_until_stalled(f, *peer);
        peer->reset();
        f.until([&] { return f.counters().clients == 0; });
        CHECK(f.counters().closed == 1);
        Peer other(f);
        other.send("\x02\x20");
        CHECK(other.read(32).size() == 32);
    }
}

TEST_CASE("promise 5: garbage closes the one who sent it, after what came before it was answered") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        f.feed(100);
        Peer good(f), bad(f);
        bad.send("\x02\x08\x47");
        CHECK(bad.read(8) == stream(0, 8));
        CHECK(bad.ended());
        CHECK(f.counters().protocol_errors == 1);
        CHECK(f.counters().closed == 1);
        CHECK(f.counters().clients == 1);
        good.send("\x02\x08");
        CHECK(good.read_once() == stream(8, 8));
    }
}

TEST_CASE("promise 5: garbage behind a request that waits") {
    Fixture f("unix");
    Peer bad(f);
    bad.send("\x02\x08GET / HTTP/1.1\r\n\r\n");
    CHECK(bad.nothing_to_read());
    f.feed(100);
    CHECK(bad.read(8) == stream(0, 8));
    CHECK(bad.ended());
    CHECK(f.counters().protocol_errors == 1);
    CHECK(f.pool.size() == 92);
}

TEST_CASE("egd listener: who closes only its side still gets its answer") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        Peer waits(f), at_once(f);
        waits.send("\x02\x20\x02\x08");
        waits.half_close();
        CHECK(waits.nothing_to_read());
        f.feed(32);
        CHECK(waits.read(32) == stream(0, 32));
        f.feed(50);
        CHECK(waits.read(8) == stream(32, 8));
        CHECK(waits.ended());
        at_once.send("\x02\x08");
        at_once.half_close();
        CHECK(at_once.read(8) == stream(40, 8));
        CHECK(at_once.ended());
        CHECK(f.counters().clients == 0);
    }
}

TEST_CASE("promise 4: a client that vanished while it waited takes nothing") {
    for (const std::string kind : {"unix", "tcp"}) {
        for (const bool full : {false, true}) { // full: of requests, so that its end is behind them
            Fixture f(kind);
            auto gone = std::make_unique<Peer>(f);
            Peer next(f);
            gone->send("\x02\x20");
            if (full) {
                f.settle();
                gone->send(std::string(1000, '\0'));
            }
            f.settle();
            CHECK(f.counters().waiting == 1);
            next.send("\x02\x20");
            f.settle();
            gone->reset();
            f.feed(32); // before the loop could tell
            CHECK(next.read_once() == stream(0, 32));
            f.until([&] { return f.counters().clients == 1; });
            CHECK(f.pool.counters().bytes_out == 32);
            CHECK(f.counters().waiting == 0);
        }
    }
}

TEST_CASE("egd listener: one that vanished is dropped at once, and those behind it are served") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        f.feed(100);
        auto gone = std::make_unique<Peer>(f);
        Peer next(f);
        gone->send("\x02\xc8");
        f.settle();
        next.send("\x02\x60"); // 96 of the 100 that are held for the first
        CHECK(next.nothing_to_read());
        gone->reset();
        CHECK(next.read(96) == stream(0, 96));
        CHECK(f.counters().clients == 1);
    }
}

TEST_CASE("promise 8: a vanished client whose socket tells the loop nothing is found in time") {
    Fixture f("unix");
    int pair[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    ClientTable table(f.loop, f.pool, full_entropy_supply(f.pool), "test:", Limits{}, nullptr,
                      std::chrono::milliseconds(5));
    table.admit(Fd(pair[0]));
    {
        const Fd peer(pair[1]);
        const std::string requests = "\x02\x20" + std::string(500, '\0');
        REQUIRE(write(peer.get(), requests.data(), requests.size()) == 502);
        f.until([&] { return table.counters().waiting == 1; });
        f.settle();
        CHECK(table.counters().clients == 1);
    }
    f.until([&] { return table.counters().clients == 0; });
    CHECK(f.pool.turns().empty());
}

TEST_CASE("egd listener: no more clients than max-clients") {
    Fixture f("unix", ",max-clients=2");
    f.feed(100);
    Peer one(f);
    auto two = std::make_unique<Peer>(f);
    Peer three(f);
    CHECK(three.ended());
    CHECK(f.counters().refused == 1);
    CHECK(f.counters().accepted == 2);
    CHECK(f.counters().clients == 2);
    two.reset();
    f.until([&] { return f.counters().clients == 1; });
    Peer four(f);
    four.send("\x02\x08");
    CHECK(four.read(8) == stream(0, 8));
}

TEST_CASE("promise 8: out of file descriptors, accepting pauses, does not spin, and goes on") {
    Fixture f("tcp");
    f.feed(100);
    Peer before(f);
    Fd pending(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    sockaddr_storage where{};
    socklen_t size = sizeof where;
    REQUIRE(getpeername(before.fd(), reinterpret_cast<sockaddr*>(&where), &size) == 0);

    rlimit usual{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &usual) == 0);
    const Fd lowest_free(dup(0));
    const rlimit none{static_cast<rlim_t>(lowest_free.get()) + 1, usual.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    connect(pending.get(), reinterpret_cast<sockaddr*>(&where), size);
    f.settle();
    CHECK(f.counters().accepted == 1);
    before.send("\x02\x08");
    CHECK(before.read(8) == stream(0, 8));

    // The loop sleeps until the pause is over.
    ev_run(f.loop.raw(), EVRUN_NOWAIT);
    const Time start = Loop::now();
    ev_run(f.loop.raw(), EVRUN_ONCE);
    CHECK(Loop::now() - start > std::chrono::milliseconds(500));

    REQUIRE(setrlimit(RLIMIT_NOFILE, &usual) == 0);
    f.until([&] { return f.counters().accepted == 2; });
}

TEST_CASE("promise 8: a listener goes with clients reading, waiting and stalled") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        Peer idle(f), stalled(f, kind == "tcp" ? 4096 : 0), waiting(f);
        ask_until_stalled(f, stalled);
        while (f.pool.size() > 0) {
            idle.send("\x01\xff");
            idle.read_once();
        }
        waiting.send("\x02\x20");
        f.settle();
        CHECK(f.counters().waiting == 1);
        const std::string path = f.folder + "/egd.sock";
        CHECK((access(path.c_str(), F_OK) == 0) == (kind == "unix"));
        f.listener.reset();
        CHECK(access(path.c_str(), F_OK) != 0);
        CHECK(f.pool.turns().empty());
        f.feed(64);
        CHECK(f.pool.size() == 64);
        CHECK(waiting.ended());
        CHECK(idle.ended());
    }
}

TEST_CASE("egd listener: a thousand clients come, ask and go in any order") {
    Fixture f("unix");
    std::vector<std::unique_ptr<Peer>> peers;
    for (int i = 0; i < 1000; ++i) {
        peers.push_back(std::make_unique<Peer>(f));
    }
    CHECK(f.counters().clients == 1000);
    for (std::size_t i = 0; i < peers.size(); ++i) {
        peers[i]->send("\x02\x04");
        if (i % 3 == 0) {
            peers[i].reset();
        }
    }
    f.settle();
    f.feed(4000);
    std::string all;
    for (const auto& peer : peers) {
        all += peer ? peer->read(4) : "";
    }
    CHECK(all.size() == 666 * 4);
    // Each got bytes of its own: together they are the stream, in some order.
    std::string expected = stream(0, all.size());
    std::sort(all.begin(), all.end());
    std::sort(expected.begin(), expected.end());
    CHECK(all == expected);
    f.until([&] { return f.counters().clients == 666; });
}
