// Where softkey's noise comes from, and how it is tested.
#include <doctest/doctest.h>

#include <sodium.h>

#include "tests/softkey/tested_noise.h"
#include "tests/support/entropy_key_vectors.h"
#include "tests/unit/pipeline/scripted_source.h"
#include "tests/unit/softkey/bench.h"

namespace ekey::softkey {

TEST_CASE(
    "seeded noise: RFC 8439's key stream (appendix A.1, test vector 1: key and nonce zero); streams differ") {
    const auto noise = seeded_noise(Seed{}, 0);
    std::array<Byte, 8> first{};
    REQUIRE(noise->fill(first));
    CHECK(test::to_vector(first) == test::from_hex("76b8e0ada0f13d90"));
    std::array<Byte, 8> other{};
    REQUIRE(seeded_noise(Seed{}, 1)->fill(other));
    CHECK(other != first);
    // In pieces of any size it is the same stream, across its buffer too.
    std::vector<Byte> whole(5000), pieces(5000);
    seeded_noise(Seed{}, 0)->fill(whole);
    const auto again = seeded_noise(Seed{}, 0);
    for (std::size_t at = 0; at < pieces.size(); at += 1000) {
        again->fill(ByteSpan(pieces).subspan(at, 999));
        again->fill(ByteSpan(pieces).subspan(at + 999, 1));
    }
    CHECK(whole == pieces);
    for (const char* wrong : {"", "1", "zz", "00 ", "0x00"}) {
        CHECK_FALSE(parse_seed(wrong));
    }
    CHECK_FALSE(parse_seed(std::string(66, '0')));
    CHECK(parse_seed("ff")->front() == 0xff);
}

namespace {

struct Tested {
    std::unique_ptr<Noise> uniform = seeded_noise(Seed{7}, 0);
    test::ScriptedSource::Record generator;
    TestedNoise noise{std::make_unique<test::ScriptedSource>(generator, 4.0)};
    int changes = 0;

    Tested() {
        REQUIRE(noise.start());
        noise.on_change([this] { ++changes; });
    }
    std::vector<Byte> good(std::size_t size) {
        std::vector<Byte> bytes(size);
        REQUIRE(uniform->fill(bytes));
        return bytes;
    }
    // In pieces of an odd size, as a generator delivers.
    void deliver(const std::vector<Byte>& bytes) {
        for (std::size_t at = 0; at < bytes.size(); at += 137) {
            generator.owner->on_samples(
                ByteView(bytes).subspan(at, std::min<std::size_t>(137, bytes.size() - at)));
        }
    }
    std::size_t drain(std::vector<Byte>* into = nullptr) {
        std::size_t got = 0;
        std::array<Byte, 32> packet{};
        while (noise.fill(packet)) {
            got += packet.size();
            if (into != nullptr) {
                into->insert(into->end(), packet.begin(), packet.end());
            }
        }
        return got;
    }
};

} // namespace

TEST_CASE("promise 1: softkey gives out nothing of a block before the whole block has passed") {
    Tested t;
    t.deliver(t.good(health::block_size - 1));
    CHECK(t.drain() == 0);
    CHECK(t.changes == 0);
    t.deliver(t.good(1));
    CHECK(t.changes == 1);
    CHECK(t.drain() > 0);
    CHECK_FALSE(t.noise.ended());
}

TEST_CASE(
    "promise 2: softkey sends 64 bytes for 144 of a generator credited with 4 bits a byte: their SHA-512") {
    Tested t;
    const auto raw = t.good(2 * health::block_size);
    t.deliver(raw);
    std::vector<Byte> sent;
    t.drain(&sent);
    REQUIRE(sent.size() == 2 * health::block_size / 144 * 64);
    for (std::size_t i = 0; i * 64 < sent.size(); ++i) {
        std::array<Byte, crypto_hash_sha512_BYTES> digest{};
        crypto_hash_sha512(digest.data(), raw.data() + i * 144, 144);
        CHECK(std::equal(digest.begin(), digest.end(), sent.begin() + static_cast<std::ptrdiff_t>(i * 64)));
    }
}

TEST_CASE(
    "a generator is paused while enough waits, whatever it delivers then has room, and is asked again") {
    Tested t;
    while (!t.generator.paused) {
        t.deliver(t.good(500));
    }
    t.deliver(t.good(2 * 512)); // ekeyd's reader is at most a block of 512 ahead
    const std::size_t got = t.drain();
    CHECK(got >= 2500);
    CHECK_FALSE(t.generator.paused);
}

TEST_CASE(
    "bad noise has the failure code of an Entropy Key, gives out nothing that waits, and stays failed") {
    const auto spoilt = [](auto spoil, char code) {
        Tested t;
        t.deliver(t.good(health::block_size));
        auto bytes = t.good(20 * health::block_size);
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            bytes[i] = spoil(i, bytes[i]);
        }
        t.deliver(bytes);
        CHECK(t.noise.failure() == code);
        CHECK(t.drain() == 0);
        CHECK(t.changes >= 2);
        const int changes = t.changes;
        t.deliver(t.good(4 * health::block_size));
        CHECK(t.noise.failure() == code);
        CHECK(t.drain() == 0);
        CHECK(t.changes == changes);
        // Only a power cycle clears it, and the startup test stands before the first byte again.
        t.noise.power_on();
        CHECK(t.noise.failure() == '0');
        CHECK(t.noise.fips()->blocks == 0);
        CHECK(t.generator.resets == 1);
        t.deliver(t.good(health::block_size - 1));
        CHECK(t.drain() == 0);
        t.deliver(t.good(1));
        CHECK(t.drain() > 0);
        CHECK(t.noise.fips()->blocks == 1);
    };
    SUBCASE("stuck: no longer random") {
        spoilt([](std::size_t, Byte) { return Byte{0x55}; }, '1');
    }
    SUBCASE("one value too often: strongly biased") {
        spoilt([](std::size_t i, Byte byte) { return i % 2 == 0 ? Byte{0x33} : byte; }, '4');
    }
    SUBCASE("ones in three cases of four: FIPS 140-2") {
        spoilt([](std::size_t i, Byte byte) { return static_cast<Byte>(byte | (i * 0x9d >> 1 & 0xff)); },
               '9');
    }
}

TEST_CASE("a generator that is gone: no longer random, and what waits is not sent") {
    Tested t;
    t.deliver(t.good(health::block_size));
    t.generator.owner->on_failure(health::Failure::silence, "/dev/hwrng: end of file");
    CHECK(t.noise.failure() == '1');
    CHECK(t.drain() == 0);
    CHECK(t.changes == 2);
    t.generator.owner->on_failure(health::Failure::silence, "/dev/hwrng: end of file");
    CHECK(t.changes == 2); // told once
    t.generator.owner->on_restart();
    CHECK(t.noise.failure() == '1');
}

TEST_CASE("one bad block at the start is the false alarm that uniform noise has, three are not") {
    // FIPS 140-2, monobit: fewer than 9,725 ones of 20,000. Values 0..0x7f have one bit in 16 fewer.
    const auto light = [](std::vector<Byte> bytes) {
        for (Byte& byte : bytes) {
            byte &= 0x7f;
        }
        return bytes;
    };
    Tested once;
    once.deliver(light(once.good(2 * health::block_size)));
    CHECK(once.noise.failure() == '0');
    once.deliver(once.good(health::block_size));
    CHECK(once.drain() > 0);
    const auto report = *once.noise.fips();
    CHECK(report.blocks == 3);
    CHECK(report.failures == 2);
    CHECK(report.monobit == 2);
    Tested thrice;
    thrice.deliver(light(thrice.good(3 * health::block_size)));
    CHECK(thrice.noise.failure() == '9');
}

TEST_CASE(
    "a key whose noise is awaited sends nothing; it goes on when there is some, and reports a failure") {
    Bench bench;
    bench.session(5);
    bench.noise.waiting = true;
    CHECK(Bench::count(bench.pass(5s), 'E') <= 1);
    CHECK(bench.notes.empty());
    bench.noise.waiting = false;
    bench.device->noise_changed(bench.now);
    CHECK(Bench::count(bench.pass(50ms), 'E') <= 51); // no rush
    CHECK(Bench::count(bench.pass(1s), 'E') > 900);

    bench.noise.code = '4';
    bench.device->noise_changed(bench.now);
    const std::string out = bench.pass(100ms);
    const auto report = out.find("* I>S");
    REQUIRE(report != std::string::npos);
    CHECK(out[report + 53] == '4');
    CHECK(Bench::count(bench.pass(1s), 'E') == 0);
    CHECK(bench.say("KAAAA.").starts_with("* B>"));
    REQUIRE(bench.notes.size() == 1);
    // As bad as before at the next power-up; good at the one after.
    bench.device->power_on(bench.now);
    CHECK(bench.say("KAAAA.").find("* B>") != std::string::npos);
    bench.noise.code = '0';
    bench.device->power_on(bench.now);
    CHECK(bench.say("KAAAA.").starts_with("* K!"));
}

} // namespace ekey::softkey
