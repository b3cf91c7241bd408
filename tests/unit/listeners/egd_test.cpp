// What a client of an EGD listener sees.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include "ekeyd/listeners/client_table.h"
#include "fixture.h"

using namespace ekey;
using test::Fixture;
using test::Peer;
using test::stream;
using namespace std::string_literals;

TEST_CASE("egd listener: every command, on Unix and TCP") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        f.feed(1000);
        Peer peer(f);
        peer.send("\x00"s);
        CHECK(peer.read_once() == "\x00\x00\x1f\x40"s); // 8,000 bits
        peer.send("\x02\x20");
        CHECK(peer.read_once() == stream(0, 32));
        peer.send("\x01\x10");
        CHECK(peer.read_once() == "\x10" + stream(32, 16));
        peer.send("\x03\x00\x18\x03\x02\x02\x02"s); // its bytes look like requests
        peer.send("\x04");
        const std::string id = std::to_string(getpid());
        CHECK(peer.read_once() == static_cast<char>(id.size()) + id);
        peer.send("\x02\xff");
        CHECK(peer.read_once() == stream(48, 255));
        peer.send("\x01\xff");
        CHECK(peer.read_once() == "\xff" + stream(303, 255));
        CHECK(peer.nothing_to_read());
        CHECK(f.pool.size() == 1000 - 558);
        CHECK(f.counters().requests == 6);
        CHECK(f.counters().bytes_served == 558);
        CHECK(f.counters().clients == 1);
        CHECK(f.counters().protocol_errors == 0);
    }
}

TEST_CASE("egd listener: requests that come a byte at a time") {
    Fixture f("unix");
    f.feed(500);
    Peer peer(f);
    for (const char byte : "\x02\x05\x03\x00\x08\x01\xff\x01\x03\x04"s) {
        peer.send(std::string(1, byte));
        f.settle();
    }
    const std::string id = std::to_string(getpid());
    CHECK(peer.read(5 + 4 + 1 + id.size()) ==
          stream(0, 5) + "\x03" + stream(5, 3) + static_cast<char>(id.size()) + id);
}

TEST_CASE("egd listener: pipelined answers come in order and in one piece") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        f.feed(2000);
        Peer peer(f);
        peer.send("\x02\x80\x02\x80\x02\x80\x02\x80"); // ekeyd-egd-linux -b 4
        CHECK(peer.read_once() == stream(0, 512));
        peer.send("\x02\x10\x01\x08\x00\x02\x00\x02\x01"s);
        CHECK(peer.read_once() ==
              stream(512, 16) + "\x08" + stream(528, 8) + "\x00\x00\x2d\xc0"s + stream(536, 1));
        // More requests than one batch holds, and more than one recv() takes.
        f.feed(4096 - f.pool.size());
        std::string many;
        for (int i = 0; i < 100; ++i) {
            many += "\x02\x20";
        }
        peer.send(many);
        CHECK(peer.read(3200) == stream(537, 3200));
        std::string large;
        for (int i = 0; i < 12; ++i) {
            large += "\x02\xff";
        }
        f.feed(f.pool.room());
        peer.send(large);
        CHECK(peer.read(12 * 255) == stream(3737, 12 * 255));
    }
}

TEST_CASE("egd listener: each answer is one write, and pipelined ones share it") {
    Fixture f("unix");
    f.feed(4000);
    int pair[2]; // a socket that keeps the bounds of each write
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
    ClientTable table(f.loop, f.pool, full_entropy_supply(f.pool), "test:", Limits{});
    table.admit(Fd(pair[0]));
    const Fd peer(pair[1]);
    const auto ask = [&](const std::string& requests, std::vector<std::size_t> sizes) {
        REQUIRE(write(peer.get(), requests.data(), requests.size()) == static_cast<ssize_t>(requests.size()));
        f.settle();
        char answer[4096];
        for (const std::size_t size : sizes) {
            CHECK(recv(peer.get(), answer, sizeof answer, 0) == static_cast<ssize_t>(size));
        }
        CHECK(recv(peer.get(), answer, sizeof answer, 0) == -1);
    };
    ask("\x01\x14", {21}); // Postfix's tlsmgr
    ask("\x01\xff", {256});
    ask("\x02\xff", {255});
    ask("\x02\x80\x02\x80\x02\x80\x02\x80", {512});
    ask("\x00\x01\x10\x02\x20"s, {4 + 17 + 32});
    ask("\x02\xff\x02\xff\x02\xff\x02\xff\x02\xff\x02\xff\x02\xff\x02\xff\x02\xff\x02\xff",
        {8 * 255, 2 * 255});
    f.feed(f.pool.room());
    ask("\x01", {});
    ask("\xff", {256});
    const ByteView sent = table.batch().memory.span(); // promise 6: nothing that was served stays behind
    CHECK(std::all_of(sent.begin(), sent.end(), [](Byte byte) { return byte == 0; }));
}

TEST_CASE("promise 3: an empty pool makes a blocking read wait and answers the others honestly") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        Peer peer(f);
        peer.send("\x00\x01\x20"s);
        CHECK(peer.read(5) == std::string(5, '\0')); // no bits; no bytes
        peer.send("\x02\x20");
        CHECK(peer.nothing_to_read());
        CHECK(f.counters().waiting == 1);
        f.feed(31);
        CHECK(peer.nothing_to_read());
        f.feed(1);
        CHECK(peer.read_once() == stream(0, 32));
        CHECK(f.counters().waiting == 0);
        f.feed(10);
        peer.send("\x01\x20");
        CHECK(peer.read_once() == "\x0a" + stream(32, 10)); // short, never split
    }
}

TEST_CASE("egd listener: while a client waits its later requests wait, in order") {
    Fixture f("unix");
    Peer peer(f);
    peer.send("\x02\x20\x00\x02\x10\x01\x08\x04"s);
    CHECK(peer.nothing_to_read());
    peer.send("\x02\x08");
    f.settle();
    f.feed(40);
    CHECK(peer.read_once() == stream(0, 32) + "\x00\x00\x00\x40"s);
    CHECK(peer.nothing_to_read());
    f.feed(20);
    const std::string id = std::to_string(getpid());
    CHECK(peer.read_once() == stream(32, 16) + "\x08" + stream(48, 8) + static_cast<char>(id.size()) + id);
    CHECK(f.counters().waiting == 1);
    f.feed(4);
    CHECK(peer.read_once() == stream(56, 8));
    CHECK(f.counters().waiting == 0);
    CHECK(f.pool.size() == 0);
}

TEST_CASE("egd listener: requests behind one that waits are bounded, and none is lost") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        Peer peer(f);
        peer.send("\x02\x40");
        f.settle();
        std::string many;
        for (int i = 0; i < 1000; ++i) {
            many += "\x02\x04";
        }
        peer.send(many);
        f.settle();
        // It reads no further: what waits for the pool is one request, and 64 bytes of others are held.
        CHECK(f.counters().requests == 1);
        f.feed(64);
        CHECK(peer.read(64) == stream(0, 64));
        f.feed(4000);
        CHECK(peer.read(4000) == stream(64, 4000));
        CHECK(f.counters().requests == 1001);
    }
}

TEST_CASE("promise 7: neither a non-blocking nor a fresh blocking read overtakes those who wait") {
    Fixture f("unix");
    f.feed(50);
    Peer first(f), second(f), third(f), fourth(f);
    first.send("\x02\x40");
    f.settle();
    CHECK(f.counters().waiting == 1);
    second.send("\x01\x10\x00"s);
    CHECK(second.read(5) == std::string(5, '\0')); // nothing is spare
    third.send("\x02\x40");
    fourth.send("\x02\x20"); // 50 are held, and still
    CHECK(fourth.nothing_to_read());
    CHECK(f.counters().waiting == 3);
    f.feed(46); // 96: 32 bytes are due before 64, and equal requests in the order of their coming
    CHECK(fourth.read_once() == stream(0, 32));
    CHECK(first.read_once() == stream(32, 64));
    CHECK(third.nothing_to_read());
    f.feed(64);
    CHECK(third.read_once() == stream(96, 64));
}

TEST_CASE("promise 7: waiting clients of all sizes share what comes") {
    Fixture f("unix");
    std::vector<std::unique_ptr<Peer>> peers;
    const std::size_t sizes[] = {16, 32, 64, 255};
    std::vector<std::size_t> got(12);
    for (std::size_t i = 0; i < got.size(); ++i) {
        peers.push_back(std::make_unique<Peer>(f));
        peers[i]->send("\x02"s + static_cast<char>(sizes[i % 4]));
    }
    for (int piece = 0; piece < 1000; ++piece) {
        f.settle();
        f.feed(64);
        f.settle();
        for (std::size_t i = 0; i < peers.size(); ++i) {
            if (!peers[i]->nothing_to_read()) {
                got[i] += peers[i]->read(sizes[i % 4]).size();
                peers[i]->send("\x02"s + static_cast<char>(sizes[i % 4]));
            }
        }
    }
    double sum = 0, squares = 0;
    for (const std::size_t bytes : got) {
        sum += static_cast<double>(bytes);
        squares += static_cast<double>(bytes) * static_cast<double>(bytes);
    }
    CHECK(sum > 60000);
    CHECK(sum * sum / (static_cast<double>(got.size()) * squares) > 0.99); // Jain's index
}

TEST_CASE("promise 7: what is left of a burst is kept for who asks again only after its answer") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind);
        f.pool.turns().keep_places([] {}); // the test says when a term is over
        Peer modest(f), ahead(f);
        modest.send("\x02\x20");
        f.settle();
        std::string requests;
        for (int i = 0; i < 50; ++i) {
            requests += "\x02\x20";
        }
        ahead.send(requests);
        f.settle();
        CHECK(f.counters().waiting == 2);
        f.feed(320);
        for (std::size_t at = 0; at < 320; at += 64) { // each has the half of it, without more coming
            CHECK(modest.read_once() == stream(at, 32));
            CHECK(ahead.read_once() == stream(at + 32, 32));
            CHECK(ahead.nothing_to_read());
            modest.send("\x02\x20");
        }
        CHECK(modest.nothing_to_read());

        f.feed(160);
        CHECK(modest.read_once() == stream(320, 32));
        CHECK(ahead.read_once() == stream(352, 32));
        CHECK(ahead.nothing_to_read());
        if (kind == "unix") { // it goes, or it does not ask again
            modest.reset();
        } else {
            for (int term = 0; term < 2; ++term) {
                CHECK(ahead.nothing_to_read());
                f.pool.turns().end_term();
                f.pool.serve();
            }
        }
        CHECK(ahead.read(96) == stream(384, 96));
    }
}
