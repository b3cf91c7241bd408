// What a client of a limited listener sees.
#include <memory>
#include <string>
#include <tuple>

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

bool says(const std::string& text, std::string_view part) {
    INFO(text);
    return text.find(part) != std::string::npos;
}

std::string refusal(const std::string& address) {
    const auto checked = check_listener(config::parse_address(address).value());
    return checked ? "" : checked.error().what;
}

struct Collector final : Mixer {
    void mix(ByteView bytes) override { all += as_text(bytes); }
    std::string all;
};

} // namespace

TEST_CASE("limits: bad ones are refused in a sentence") {
    const auto tcp = [](const std::string& parameters) { return refusal("tcp:127.0.0.1:1," + parameters); };
    CHECK(
        tcp("rate=1000,burst=255,rate-network=1,burst-network=1000,max-clients-network=3,network-prefix4=32,"
            "network-prefix6=48,idle=60,handshake=10,accept-writes=mix,allow=10.0.0.0/8,deny=10.1.0.0/"
            "16,max-clients=5,local=yes") == "");
    CHECK(refusal(
              "unix:/"
              "x,rate=1000,burst=1000,idle=60,handshake=10,accept-writes=discard,allow-uid=root,allow-uid=5,"
              "allow-gid=nobody-knows") == "");
    CHECK(says(tcp("rate=0"), "rate is \"0\""));
    CHECK(says(tcp("rate=1k"), "rate"));
    CHECK(says(tcp("rate=100,burst=254"), "from 255"));
    CHECK(says(tcp("burst=1000"), "burst stands beside rate="));
    CHECK(says(tcp("rate=5,burst-network=1000"), "burst-network stands beside rate-network="));
    CHECK(says(tcp("max-clients-network=0"), "max-clients-network"));
    CHECK(says(tcp("rate-network=5,network-prefix4=33"), "from 1 to 32"));
    CHECK(says(tcp("network-prefix6=64"), "nothing else is counted by network"));
    CHECK(says(tcp("accept-writes=yes"), "it takes discard and mix"));
    CHECK(says(tcp("local=remote"), "local is \"remote\": expected yes or no"));
    CHECK(says(tcp("idle=0"), "idle"));
    CHECK(says(tcp("allow=10.0.0.1/8"), "10.0.0.0/8"));
    CHECK(says(tcp("alow=10.0.0.0/8"), "did you mean allow?"));
    CHECK(says(tcp("allow-uid=root"), "no parameter \"allow-uid\""));
    CHECK(says(refusal("unix:/x,allow=10.0.0.0/8"), "no parameter \"allow\""));
    Fixture f("unix");
    const auto made = make_listener(
        f.loop, f.pool, config::parse_address("unix:" + f.folder + "/y,allow-gid=no-such-group").value());
    REQUIRE_FALSE(made);
    CHECK(says(made.error().what, "there is no group \"no-such-group\""));
}

TEST_CASE("limits: a rate makes a blocking read wait, answers the others short, and costs nobody else") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind,
                  ",rate=1,burst=300"); // one that waits for bytes does so for longer than this test takes
        f.feed(4000);
        Peer limited(f), short_reads(f), other(f);
        limited.send("\x02\xff\x02\xff\x00"s);
        CHECK(limited.read_once() == stream(0, 255));
        short_reads.send("\x01\xff\x01\xff"s);
        CHECK(short_reads.read(256) == "\xff" + stream(255, 255));
        const std::string left = short_reads.read(1); // 45, and what came meanwhile
        CHECK(left[0] >= 45);
        CHECK(short_reads.read(static_cast<std::size_t>(left[0])).substr(0, 45) == stream(510, 45));
        CHECK(limited.nothing_to_read());
        CHECK(f.counters().held_back == 1);
        CHECK(f.counters().delayed == 1);
        CHECK(f.counters().waiting == 0);
        other.send("\x02\xff");
        CHECK(other.read_once().size() == 255);
    }
}

TEST_CASE("limits: the level is no more than a client's rate lets it read") {
    Fixture f("unix", ",rate=300,burst=300");
    f.feed(4000);
    Peer peer(f);
    peer.send("\x00"s);
    CHECK(peer.read(4) == "\x00\x00\x09\x60"s); // 2,400 bits
}

TEST_CASE("limits: over a second no client gets more than its rate and its burst") {
    Fixture f("unix", ",rate=2000,burst=255");
    f.feed(4096);
    Peer peer(f);
    std::string many;
    for (int i = 0; i < 200; ++i) {
        many += "\x02\x10";
    }
    const Time begin = Loop::now();
    peer.send(many);
    CHECK(peer.read(2255) == stream(0, 2255));
    CHECK(Loop::now() - begin >= std::chrono::milliseconds(990));
}

TEST_CASE("limits: one that is held back may vanish, or close its side and still get its bytes") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind, ",rate=10,burst=255");
        f.feed(4000);
        auto gone = std::make_unique<Peer>(f);
        Peer half(f);
        gone->send("\x02\xff\x02\xff"s);
        half.send("\x02\xff\x02\x0a"s);
        CHECK(gone->read(255).size() == 255);
        CHECK(half.read(255).size() == 255);
        gone->reset();
        half.half_close();
        CHECK(half.read(10) == stream(510, 10));
        CHECK(half.ended());
        f.until([&] { return f.counters().clients == 0; });
        CHECK(f.counters().held_back == 0);
        CHECK(f.pool.counters().bytes_out == 520);
    }
}

TEST_CASE("limits: a rate counts a request once, also when the pool makes it wait in addition") {
    Fixture f("unix", ",rate=100,burst=255");
    Peer peer(f);
    peer.send("\x02\xc8"); // 200 of its 255
    f.settle();
    CHECK(f.counters().waiting == 1);
    f.feed(255);
    CHECK(peer.read(200) == stream(0, 200));
    peer.send("\x02\x37"); // the other 55
    CHECK(peer.read_once() == stream(200, 55));
    CHECK(f.counters().delayed == 0);
}

TEST_CASE("limits: a network's rate is shared by its clients") {
    Fixture f("tcp", ",rate-network=1000,burst-network=300,network-prefix4=8");
    f.feed(4000);
    Peer one(f), two(f);
    const Time begin = Loop::now();
    one.send("\x02\xff");
    CHECK(one.read_once() == stream(0, 255));
    two.send("\x02\xff\x02\xff"s);
    CHECK(two.read(510) == stream(255, 510));
    CHECK(Loop::now() - begin >= std::chrono::milliseconds(464)); // 765 bytes, of which 300 at once
}

TEST_CASE("limits: who is quiet for too long is closed; who waits for its bytes is not") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture f(kind, ",idle=1");
        const Time begin = Loop::now();
        Peer quiet(f), waiting(f), half_said(f);
        waiting.send("\x02\x10");
        half_said.send("\x02");
        CHECK(quiet.ended());
        CHECK(Loop::now() - begin >= std::chrono::milliseconds(990));
        f.until([&] { return f.counters().clients == 1; });
        CHECK(half_said.ended());
        CHECK(f.counters().timed_out == 2);
        f.until([&] { return Loop::now() - begin > std::chrono::milliseconds(1800); });
        CHECK(f.counters().clients == 1);
        f.feed(16);
        CHECK(waiting.read(16) == stream(0, 16));
        CHECK(waiting.ended()); // now it is for it to speak
    }
}

TEST_CASE("limits: the first request has a time-out of its own") {
    Fixture f("unix", ",handshake=1");
    Peer silent(f), early(f);
    early.send("\x00"s);
    CHECK(early.read(4).size() == 4);
    CHECK(silent.ended());
    CHECK(f.counters().timed_out == 1);
    CHECK(f.counters().clients == 1);
    CHECK(early.nothing_to_read());
}

TEST_CASE("limits: bytes that clients write are mixed when the listener says so, and only so many") {
    for (const bool mix : {true, false}) {
        Fixture f("unix");
        int pair[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
        Limits limits;
        limits.mix_writes = mix;
        Collector collector;
        const Time begin = Loop::now();
        ClientTable table(f.loop, f.pool, full_entropy_supply(f.pool), "test:", limits, &collector);
        table.admit(Fd(pair[0]));
        const Fd peer(pair[1]);
        const auto write_command = [&](const std::string& bytes) {
            const std::string whole = "\x03\x08\x00"s + static_cast<char>(bytes.size()) + bytes;
            REQUIRE(write(peer.get(), whole.data(), whole.size()) == static_cast<ssize_t>(whole.size()));
            f.settle();
        };
        write_command("\x02\x10 looks like a request");
        write_command("");
        write_command("more");
        constexpr std::size_t text = 23 + 4;
        CHECK(collector.all == (mix ? "\x02\x10 looks like a requestmore" : ""));
        CHECK(table.counters().bytes_written == text);
        CHECK(f.pool.size() == 0); // never credited
        for (int i = 0; i < 100; ++i) {
            write_command(std::string(255, 'x'));
        }
        CHECK(table.counters().bytes_written == text + 25500);
        CHECK(table.counters().bytes_mixed == collector.all.size());
        const double seconds = std::chrono::duration<double>(Loop::now() - begin).count();
        CHECK(static_cast<double>(collector.all.size()) <= 4097 * (1 + seconds));
        CHECK(collector.all.size() >= (mix ? 4000 : 0));
        const char level = 0;
        char answer[8];
        REQUIRE(write(peer.get(), &level, 1) == 1);
        f.settle();
        CHECK(recv(peer.get(), answer, sizeof answer, 0) == 4); // the stream is where it should be
    }
}

TEST_CASE("promise 7: the pool's reserve is for Unix sockets and those that say local=yes") {
    for (const auto& [kind, parameters, local] :
         {std::tuple{"unix", "", true},
          {"tcp", "", false},
          {"tcp", ",local=yes", true},
          {"unix", ",local=no", false},
          {"unix", ",local=no,output=drbg,prediction-resistance=yes", false}}) {
        Fixture f(kind, parameters);
        f.pool.keep_reserve(1000);
        f.feed(1000);
        Peer peer(f);
        peer.send("\x01\x20\x00"s);
        if (local) {
            CHECK(peer.read(33) == "\x20" + stream(0, 32));
            CHECK(peer.read(4) == "\x00\x00\x1e\x40"s); // 968 bytes
            continue;
        }
        CHECK(peer.read(5) == std::string(5, '\0'));
        peer.send("\x02\x20");
        CHECK(peer.nothing_to_read());
        f.feed(128); // the reserve is full: all of it is for who waits
        CHECK(peer.read(32).size() == 32);
        CHECK(f.pool.reserved() == 1000);
    }
}
