#include "ekeyd/pool/pool.h"

#include <algorithm>
#include <random>
#include <vector>

#include <doctest/doctest.h>

using namespace ekey;

namespace {

std::vector<Byte> numbered(std::size_t from, std::size_t count) {
    std::vector<Byte> bytes(count);
    for (std::size_t i = 0; i < count; ++i) {
        bytes[i] = static_cast<Byte>((from + i) * 167 % 251 + 1); // never 0: erased bytes are seen
    }
    return bytes;
}

} // namespace

TEST_CASE("promise 3: the pool gives what it holds, whole or not at all") {
    Pool pool(256);
    CHECK(pool.capacity() == 256);
    std::vector<Byte> out(10, 0xee);
    CHECK_FALSE(pool.take(out));
    pool.put(numbered(0, 9));
    CHECK(pool.spare() == 9);
    CHECK_FALSE(pool.take(out));
    CHECK(out == std::vector<Byte>(10, 0xee));
    CHECK(pool.size() == 9);
    pool.put(numbered(9, 1));
    CHECK(pool.take(out));
    CHECK(out == numbered(0, 10));
    CHECK(pool.size() == 0);
    CHECK(pool.counters().bytes_in == 10);
    CHECK(pool.counters().bytes_out == 10);
    CHECK(pool.take({}));
}

TEST_CASE("promise 4: bytes come out once, in order, across the ring's end") {
    Pool pool(300);
    std::mt19937 random(1);
    std::size_t in = 0, out = 0;
    for (int round = 0; round < 5000; ++round) {
        const std::size_t add = random() % (pool.room() + 1);
        pool.put(numbered(in, add));
        in += add;
        std::vector<Byte> taken(random() % (pool.size() + 1));
        REQUIRE(pool.take(taken));
        REQUIRE(taken == numbered(out, taken.size()));
        out += taken.size();
        REQUIRE(pool.size() == in - out);
        REQUIRE(pool.room() == 300 - (in - out));
    }
}

TEST_CASE("promise 4: a byte taken is erased where it lay") {
    Pool pool(256);
    const Byte* ring = nullptr;
    std::memcpy(&ring, &pool, sizeof ring); // the first member's first member: data_
    pool.put(numbered(0, 256));
    REQUIRE(std::equal(ring, ring + 256, numbered(0, 256).begin()));
    std::vector<Byte> out(200);
    REQUIRE(pool.take(out));
    CHECK(std::all_of(ring, ring + 200, [](Byte b) { return b == 0; }));
    CHECK(ring[200] != 0);
    pool.put(numbered(256, 100)); // goes round the end
    REQUIRE(pool.take(out = std::vector<Byte>(156)));
    CHECK(std::all_of(ring, ring + 256, [](Byte b) { return b == 0; }));
}

TEST_CASE("pool: tells when it runs low, once for each fall") {
    Pool pool(256);
    int calls = 0;
    pool.on_low(192, [&] { ++calls; });
    pool.put(numbered(0, 256));
    std::vector<Byte> out(64);
    REQUIRE(pool.take(out)); // 192 are left
    CHECK(calls == 0);
    REQUIRE(pool.take(std::span(out).first(1)));
    CHECK(calls == 1);
    REQUIRE(pool.take(out));
    CHECK(calls == 1);
    pool.put(numbered(0, pool.room()));
    REQUIRE(pool.take(std::span(out).first(65 - 1)));
    CHECK(calls == 1);
    REQUIRE(pool.take(std::span(out).first(1)));
    CHECK(calls == 2);

    SUBCASE("it may be filled from the call") {
        pool.put(numbered(0, pool.room()));
        pool.on_low(192, [&] { pool.put(numbered(7, pool.room())); });
        std::vector<Byte> all(256);
        REQUIRE(pool.take(all));
        CHECK(pool.size() == 256);
        REQUIRE(pool.take(all));
        CHECK(all == numbered(7, 256));
    }
    SUBCASE("and it can be told to stop") {
        pool.put(numbered(0, pool.room()));
        pool.on_low(0, nullptr);
        std::vector<Byte> all(256);
        REQUIRE(pool.take(all));
        CHECK(calls == 2);
    }
}
