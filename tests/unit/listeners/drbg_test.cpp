// Listeners with output=drbg: served from the generator, which the pool seeds.
#include <set>
#include <string>

#include "fixture.h"

using namespace ekey;
using test::Fixture;
using test::Peer;
using namespace std::string_literals;

namespace {

const std::string seed_level = "\x00\x00\x01\x00"s; // 256 bits
const std::string read_255 = "\x02\xff"s;

} // namespace

TEST_CASE("promise 3: output=drbg: who asks before there is a seed waits, or gets nothing") {
    Fixture f("unix", ",output=drbg");
    Peer blocked(f), other(f), asking(f);
    blocked.send(read_255);
    other.send("\x02\x01"s);
    asking.send("\x00\x01\x20"s);
    CHECK(asking.read(5) == "\0\0\0\0\0"s); // level 0, 0 bytes
    CHECK(blocked.nothing_to_read());
    CHECK(f.counters().waiting == 2);
    f.feed(63);
    CHECK(blocked.nothing_to_read());
    f.feed(1);
    CHECK(blocked.read(255).find(test::stream(0, 8)) == std::string::npos); // the seed itself is not served
    other.read(1);
    CHECK(f.counters().waiting == 0);
    CHECK(f.pool.size() == 0);
}

TEST_CASE("output=drbg: one seed serves any number, and no two clients get the same bytes") {
    Fixture f("tcp", ",output=drbg");
    f.feed(64);
    Peer one(f), two(f);
    std::string all;
    for (int i = 0; i < 200; ++i) {
        one.send(read_255);
        two.send("\x01\xff"s);
        all += one.read(255);
        CHECK(two.read(1) == "\xff"s);
        all += two.read(255);
    }
    std::set<std::string> seen;
    for (std::size_t at = 0; at + 8 <= all.size(); ++at) {
        REQUIRE(seen.insert(all.substr(at, 8)).second);
    }
    one.send("\0"s);
    CHECK(one.read(4) == seed_level);
    CHECK(f.pool.drbg().reseeds() == 1);
    CHECK(f.counters().bytes_served == 400 * 255);
}

TEST_CASE("output=drbg: requests pipelined before the seed are answered in order once it is there") {
    Fixture f("unix", ",output=drbg");
    Peer peer(f);
    peer.send("\x02\x10\x00\x01\x08\x02\x20"s);
    CHECK(peer.nothing_to_read());
    f.feed(64);
    const std::string answer = peer.read(16 + 4 + 1 + 8 + 32);
    CHECK(answer.substr(16, 5) == seed_level + "\x08");
}

TEST_CASE("output=drbg: a client that went away while it waited takes nothing and holds up nobody") {
    Fixture f("unix", ",output=drbg");
    Peer stays(f);
    stays.send("\x02\x08"s);
    {
        Peer goes(f);
        goes.send("\x02\x08"s);
        CHECK(stays.nothing_to_read());
    }
    f.until([&] { return f.counters().closed == 1; });
    f.feed(64);
    stays.read(8);
    CHECK(f.counters().waiting == 0);
}

TEST_CASE("output=drbg: a listener that goes while its clients wait leaves no call behind") {
    Fixture f("unix", ",output=drbg");
    Peer peer(f);
    peer.send("\x02\x08"s);
    CHECK(peer.nothing_to_read());
    f.listener.reset();
    f.feed(64);
    f.settle();
    CHECK(f.pool.drbg().reseeds() == 1);
}

TEST_CASE("promise 3: output=drbg: past max-age nothing is served until a reseed") {
    Fixture f("unix", ",output=drbg,max-age=1");
    Peer peer(f);
    f.feed(64);
    peer.send("\x02\x08"s);
    peer.read(8);
    const Time old = f.pool.drbg().generator().last_reseed() + std::chrono::seconds(1);
    f.until([&] { return Loop::now() > old; });
    peer.send("\x01\x08\x02\x08"s);
    CHECK(peer.read(1) == "\0"s);
    CHECK(peer.nothing_to_read());
    f.feed(64);
    peer.read(8);
}

TEST_CASE(
    "output=drbg,prediction-resistance=yes: each answer costs 64 bytes of the pool, whatever its size") {
    Fixture f("tcp", ",output=drbg,prediction-resistance=yes");
    Peer peer(f), other(f);
    f.feed(64 + 63);
    peer.send(read_255);
    peer.read(255);
    CHECK(f.pool.size() == 63);
    peer.send("\x01\x08\x02\x00\x02\x08"s); // 63 bytes are no seed; a read of nothing costs nothing
    CHECK(peer.read(1) == "\0"s);
    other.send("\x02\x01"s);
    CHECK(peer.nothing_to_read());
    f.feed(1);
    peer.read(8);
    CHECK(other.nothing_to_read());
    f.feed(64);
    other.read(1);
    CHECK(f.pool.size() == 0);
    CHECK(f.pool.drbg().reseeds() == 3);
}

TEST_CASE("promise 7: full-entropy clients of the same pool are not starved by a drbg listener") {
    Fixture f("unix", ",output=drbg");
    auto second =
        make_listener(f.loop, f.pool, config::parse_address("unix:" + f.folder + "/full").value()).value();
    std::swap(second, f.listener);
    Peer full(f); // connects to f.listener
    std::swap(second, f.listener);
    Peer drbg(f);
    drbg.send(read_255);
    full.send("\x02\x40"s);
    f.settle();
    f.feed(128); // one seed and one answer
    CHECK(full.read(64) != std::string(64, '\0'));
    drbg.read(255);
    for (int i = 0; i < 2000; ++i) { // half a megabyte: by amount, seven reseeds
        drbg.send(read_255);
        drbg.read(255);
    }
    full.send("\x02\x40"s);
    f.settle();
    f.feed(128);
    full.read(64);
}
