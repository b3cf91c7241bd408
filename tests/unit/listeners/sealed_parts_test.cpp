// The peers file, the limits on handshakes, and where a host's noise has been.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>

#include "ekeyd/listeners/handshake_limits.h"
#include "ekeyd/listeners/peers.h"
#include "ekeyd/sealed/node.h"

using namespace ekey;
using sealed::Fault, sealed::Hello;

namespace {

// Base64 of 32 times the same byte.
constexpr const char* key_a = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
constexpr const char* key_b = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

sealed::PublicKey key(Byte fill) {
    sealed::PublicKey key;
    key.fill(fill);
    return key;
}

std::string error_of(const std::string& text) {
    const auto peers = Peers::parse(text, "peers");
    return peers ? "" : peers.error().what;
}

Hello from(std::initializer_list<Byte> path, Byte hop_limit = Hello::default_hop_limit) {
    Hello hello;
    hello.hop_limit = hop_limit;
    for (const Byte each : path)
        hello.path.push_back(key(each));
    return hello;
}

struct Folder {
    std::filesystem::path path;
    Folder() {
        std::string name = "/tmp/sealed-parts-XXXXXX";
        path = ::mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path); }
};

IpAddress ip(const char* text) {
    return IpAddress::parse(text);
}

} // namespace

TEST_CASE("a peers file has a key, a name and options in each line") {
    const std::string text = std::string("# slices\n\n") + key_a + " slice-1\n" + key_b +
                             "\tslice_2.example rate=2000 output=drbg credit=4 # the second\n";
    const auto peers = Peers::parse(text, "peers");
    REQUIRE(peers);
    CHECK(peers->size() == 2);
    CHECK(*peers->find(key(0)) == Peer{"slice-1", 0, std::nullopt, Hello::no_advice});
    CHECK(*peers->find(key(1)) == Peer{"slice_2.example", 2000, true, 4});
    CHECK(peers->find(key(2)) == nullptr);
    CHECK(Peers::parse(std::string(key_a) + " a output=full-entropy", "")->find(key(0))->drbg == false);
}

TEST_CASE("a bad line of a peers file is named, with what is wrong") {
    const std::string first = "# one\n" + std::string(key_a) + " a\n";
    const struct {
        std::string line, expected;
    } cases[] = {
        {"AAAA a", "does not begin with a public key"},
        {"slice-1 " + std::string(key_b), "does not begin with a public key"},
        {key_b, "a name of letters"},
        {std::string(key_b) + " no/slashes", "a name of letters"},
        {std::string(key_b) + " " + std::string(65, 'n'), "a name of letters"},
        {std::string(key_a) + " b", "is that of a already"},
        {std::string(key_b) + " a", "the name a is given twice"},
        {std::string(key_b) + " b rat=5", "did you mean rate?"},
        {std::string(key_b) + " b color=red", "a peer takes rate="},
        {std::string(key_b) + " b rate=0", "rate"},
        {std::string(key_b) + " b rate", "rate"},
        {std::string(key_b) + " b credit=9", "credit"},
        {std::string(key_b) + " b rate=1 credit=2 rate=1", "rate is given twice"},
        {std::string(key_b) + " b output=fast", "it takes full-entropy and drbg"},
    };
    for (const auto& each : cases) {
        CAPTURE(each.line);
        const std::string error = error_of(first + each.line + "\n");
        CHECK(error.starts_with("peers:3: "));
        CHECK(error.find(each.expected) != std::string::npos);
    }
}

TEST_CASE("a word of a peers file that may be a key is not repeated") {
    const std::string error = error_of(std::string(key_a) + " a " + key_b + "\n");
    CHECK(error.starts_with("peers:1: "));
    CHECK(error.find("a peer takes rate=, output= and credit=") != std::string::npos);
    CHECK(error.find(std::string(key_b).substr(0, 8)) == std::string::npos);
}

TEST_CASE("a peers file that everybody may write is refused, and so is what is no file") {
    const Folder folder;
    const std::string file = (folder.path / "peers").string();
    std::ofstream(file) << key_a << " a\n";
    ::chmod(file.c_str(), 0644);
    CHECK(Peers::read(file)->size() == 1);
    ::chmod(file.c_str(), 0646);
    CHECK(Peers::read(file).error().what.find("chmod o-w") != std::string::npos);
    CHECK(Peers::read(folder.path.string()).error().what.find("no regular file") != std::string::npos);
    CHECK(Peers::read(file + "x").error().what.find("No such file") != std::string::npos);
}

TEST_CASE("handshakes in flight are limited, of an address and of all") {
    HandshakeLimits limits;
    const Time now{std::chrono::hours(1)};
    for (std::size_t i = 0; i < HandshakeLimits::most_of_address; ++i)
        CHECK(limits.enter(ip("192.0.2.1"), now));
    CHECK_FALSE(limits.enter(ip("192.0.2.1"), now));
    CHECK(limits.enter(ip("192.0.2.2"), now));
    limits.leave(ip("192.0.2.1"), now);
    CHECK(limits.enter(ip("192.0.2.1"), now));
    for (int i = 3; limits.in_flight() < HandshakeLimits::most; ++i)
        CHECK(limits.enter(ip(("192.0.3." + std::to_string(i)).c_str()), now));
    CHECK_FALSE(limits.enter(ip("198.51.100.1"), now));
    limits.leave(ip("192.0.2.2"), now);
    CHECK(limits.enter(ip("198.51.100.1"), now));
}

TEST_CASE("an address may begin so many handshakes, and more with time; a /64 of IPv6 is one address") {
    HandshakeLimits limits;
    Time now{std::chrono::hours(1)};
    const auto begin = [&](const char* who) {
        const bool let_in = limits.enter(ip(who), now);
        if (let_in)
            limits.leave(ip(who), now);
        return let_in;
    };
    for (std::uint64_t i = 0; i < HandshakeLimits::rate.burst; ++i)
        CHECK(begin(i % 2 == 0 ? "2001:db8::1" : "2001:db8::ffff:2"));
    CHECK_FALSE(begin("2001:db8::3"));
    CHECK(begin("2001:db8:0:1::1"));
    now += std::chrono::milliseconds(1000 / HandshakeLimits::rate.bytes_per_s);
    CHECK(begin("2001:db8::3"));
    CHECK_FALSE(begin("2001:db8::3"));
}

TEST_CASE(
    "promise 5: a flood from ever new addresses fills no more memory than was set aside for addresses") {
    HandshakeLimits limits;
    Time now{std::chrono::hours(1)};
    IpAddress from = ip("10.0.0.0");
    for (unsigned i = 0; i < 3 * HandshakeLimits::most_remembered; ++i) {
        from.bytes[1] = static_cast<Byte>(i >> 16);
        from.bytes[2] = static_cast<Byte>(i >> 8);
        from.bytes[3] = static_cast<Byte>(i);
        if (i < HandshakeLimits::most_remembered + 10) {
            CHECK(limits.enter(from, now));
            limits.leave(from, now);
        } else if (limits.enter(from, now)) { // some go on
            now += std::chrono::milliseconds(1);
        }
        REQUIRE(limits.remembered() <= HandshakeLimits::most_remembered);
    }
    CHECK(limits.in_flight() == HandshakeLimits::most);
}

TEST_CASE("a node offers its own key, and those of all its upstreams once it has accepted them") {
    const Folder folder;
    SealedNode node(*config::Identity::create((folder.path / "identity").string()));
    const sealed::PublicKey own = node.keys().public_key;
    int told_again = 0;
    node.on_path_grown([&] { ++told_again; });
    CHECK(node.offer().path == std::vector{own});

    const int one = 0, other = 0;
    CHECK(node.accept(&one, from({1, 2}, 5)) == Fault::none);
    CHECK(node.offer().path == std::vector{own, key(1), key(2)});
    CHECK(int{node.offer().hop_limit} == 4);
    CHECK(told_again == 1);
    CHECK(node.accept(&one, from({1, 2}, 5)) == Fault::none); // a reconnection brings nothing new
    CHECK(node.accept(&one, from({1}, 5)) == Fault::none);
    CHECK(told_again == 1);
    CHECK(node.accept(&other, from({3}, 5)) == Fault::none);
    CHECK(told_again == 2);
    CHECK(node.accept(&other, from({3}, 2)) == Fault::none); // the noise may go less far
    CHECK(told_again == 3);

    Hello loop = from({4, 5});
    loop.path.push_back(own);
    CHECK(node.accept(&one, loop) == Fault::looped);
    CHECK(node.accept(&one, from({4}, 0)) == Fault::too_far);
    Hello crowded;
    for (Byte i = 0; i < Hello::max_path; ++i)
        crowded.path.push_back(key(static_cast<Byte>(100 + i)));
    CHECK(node.accept(&one, crowded) == Fault::too_far);
    CHECK(told_again == 3);
    node.forget(&other);
    CHECK(node.offer().path == std::vector{own, key(1)});
    CHECK(told_again == 3);
}
