// The two uses of the generator: masking what the pool gets, and serving in the pool's place.
#include "ekeyd/pool/drbg.h"

#include <vector>

#include <doctest/doctest.h>

#include "ekeyd/pool/pool.h"
#include "ekeyd/pool/rbg3_xor.h"
#include "ekeyd/runtime/loop.h"
#include "tests/support/vectors.h"

using namespace ekey;
using std::chrono::seconds;

namespace {

using Bytes = std::vector<Byte>;
using Output = std::array<Byte, Generator::seed_size>;

constexpr Duration hour = std::chrono::hours(1);

Bytes random_bytes(std::size_t size) {
    Bytes bytes(size);
    randombytes_buf(bytes.data(), size);
    return bytes;
}

bool gives(Drbg& drbg, std::size_t size, Time now, Duration max_age = hour) {
    Bytes out(size);
    return drbg.ready(now, max_age) && drbg.generate(out, now, max_age);
}

} // namespace

TEST_CASE("xor: the first output is a seed; those that follow are XORed with the generator's bytes") {
    // seed and outputs from the vectors, so that the mask is known: 1 + 31 + 32 bytes are the first 64
    const auto vectors = test::load_vectors("generator.json");
    const auto& step = vectors.get_child("steps").front().second;
    Bytes stream;
    for (const auto& [name, hex] : step.get_child("outputs")) {
        const Bytes piece = test::from_hex(hex.get_value<std::string>());
        stream.insert(stream.end(), piece.begin(), piece.end());
    }
    Rbg3Xor xored;
    const Time now = Loop::now();
    auto first = test::array_at<64>(step, "seed");
    CHECK_FALSE(xored.mask(first, now));
    CHECK(first == Output{}); // nothing that could be served is left
    for (std::size_t at = 0; at + 64 <= stream.size(); at += 64) {
        Output output;
        randombytes_buf(output.data(), output.size());
        Output expected = output;
        for (std::size_t i = 0; i < 64; ++i) {
            expected[i] ^= stream[at + i];
        }
        REQUIRE(xored.mask(output, now));
        REQUIRE(output == expected);
    }
}

TEST_CASE("xor: a source that fails unseen after the seed still gives no output that repeats") {
    Rbg3Xor xored;
    Output output;
    randombytes_buf(output.data(), output.size());
    REQUIRE_FALSE(xored.mask(output, Loop::now()));
    std::vector<Output> seen;
    for (int i = 0; i < 1100; ++i) { // over a reseed with the bad output
        output.fill(0);
        if (xored.mask(output, Loop::now())) {
            CHECK(output != Output{});
            CHECK(std::find(seen.begin(), seen.end(), output) == seen.end());
            seen.push_back(output);
        }
    }
    CHECK(xored.reseeds() == 2);
}

TEST_CASE("xor: reseeds after 64 KiB, or after a minute, but a slow source spends a sixteenth at most") {
    Rbg3Xor xored;
    Output output{};
    Time now = Loop::now();
    xored.mask(output, now);
    int served = 0;
    while (xored.mask(output, now)) {
        ++served;
    }
    CHECK(served == 1024); // of 64 bytes
    CHECK(xored.reseeds() == 2);
    for (int i = 0; i < 20; ++i) {
        REQUIRE(xored.mask(output, now));
    }
    now += seconds(60);
    CHECK_FALSE(xored.mask(output, now));
    served = 0;
    for (int i = 0; i < 160; ++i) {
        now += seconds(61);
        served += xored.mask(output, now) ? 1 : 0;
    }
    CHECK(served >= 150);
}

TEST_CASE("promise 3: drbg: nothing before its seed, which it takes in turn and which nobody else gets") {
    Pool pool(256);
    Drbg& drbg = pool.drbg();
    int called = 0;
    const Drbg::Subscription subscription(drbg, [&] { ++called; });
    CHECK_FALSE(gives(drbg, 1, Loop::now()));
    CHECK_FALSE(gives(drbg, 1, Loop::now()));
    CHECK(pool.turns().size() == 1);
    pool.put(random_bytes(63));
    pool.serve();
    CHECK_FALSE(gives(drbg, 1, Loop::now()));
    CHECK(called == 0);
    pool.put(random_bytes(2));
    pool.serve();
    CHECK(called == 1);
    CHECK(pool.size() == 1);
    CHECK(pool.turns().empty());
    CHECK(gives(drbg, 100'000, Loop::now()));
    CHECK(drbg.bytes_out() == 100'000);
}

TEST_CASE("drbg: reseeds by time and by amount, at most 64 bytes of the pool a second") {
    Pool pool(1024);
    Drbg& drbg = pool.drbg();
    pool.put(random_bytes(1024));
    const Time start = Loop::now();
    REQUIRE(gives(drbg, 65536, start));
    CHECK(drbg.reseeds() == 1);
    REQUIRE(gives(drbg, 1'000'000, start + seconds(1) - Duration(1)));
    CHECK(drbg.reseeds() == 1); // not twice in a second
    REQUIRE(gives(drbg, 1, start + seconds(1)));
    CHECK(drbg.reseeds() == 2);
    REQUIRE(gives(drbg, 1, start + seconds(61) - Duration(1)));
    CHECK(drbg.reseeds() == 2);
    REQUIRE(gives(drbg, 1, start + seconds(61)));
    CHECK(drbg.reseeds() == 3);
    REQUIRE(gives(drbg, 1, start + seconds(66), seconds(10))); // half of a short max-age
    CHECK(drbg.reseeds() == 4);
    CHECK(pool.size() == 1024 - 4 * 64);
}

TEST_CASE(
    "drbg: goes on while a reseed is awaited, refuses past max-age, and comes back with the next seed") {
    Pool pool(256);
    Drbg& drbg = pool.drbg();
    pool.put(random_bytes(64));
    const Time start = Loop::now();
    REQUIRE(gives(drbg, 1, start));
    CHECK(gives(drbg, 1, start + seconds(61)));
    CHECK(pool.turns().size() == 1);
    CHECK(gives(drbg, 1, start + hour));
    CHECK_FALSE(gives(drbg, 1, start + hour + Duration(1)));
    CHECK(gives(drbg, 1, start + hour + Duration(1), 2 * hour)); // another listener, another limit
    pool.put(random_bytes(64));
    pool.serve();
    CHECK(gives(drbg, 1, Loop::now()));
}

TEST_CASE("drbg: prediction resistance: what follows depends on the newest bytes of the pool") {
    Pool pool(256);
    Drbg& drbg = pool.drbg();
    pool.put(random_bytes(128));
    const Time now = Loop::now();
    drbg.reseed_from_pool(now);
    drbg.reseed_from_pool(now);
    CHECK(pool.size() == 0);
    CHECK(drbg.reseeds() == 2);
    CHECK(drbg.generator().last_reseed() == now);
}
