// Rates and time-outs, by a clock of the test's own.
#include "ekeyd/listeners/rate.h"

#include <doctest/doctest.h>

#include "ekeyd/listeners/timeouts.h"

using namespace ekey;
using namespace std::chrono_literals;

namespace {
constexpr Time start{std::chrono::hours(1)};
}

TEST_CASE("rate: a burst at once, then so many bytes a second") {
    const Rate rate{100, 400};
    Bucket bucket;
    CHECK(bucket.full(start));
    CHECK(bucket.level(rate, start) == 400);
    CHECK(bucket.ready_at(rate, 400) <= start);
    bucket.take(rate, 400, start);
    CHECK(bucket.level(rate, start) == 0);
    CHECK(bucket.ready_at(rate, 1) == start + 10ms);
    CHECK(bucket.ready_at(rate, 255) == start + 2550ms);
    CHECK(bucket.level(rate, start + 9ms) == 0);
    CHECK(bucket.level(rate, start + 10ms) == 1);
    CHECK(bucket.level(rate, start + 2550ms) == 255);
    bucket.take(rate, 255, start + 2550ms);
    CHECK(bucket.ready_at(rate, 255) == start + 5100ms);
    CHECK_FALSE(bucket.full(start + 6549ms)); // 6.55 s of tokens for 655 bytes
    CHECK(bucket.full(start + 6550ms));
    CHECK(bucket.level(rate, start + 24h) == 400); // a rest gathers no more than the burst
}

TEST_CASE("rate: over any time no more than the rate and one burst") {
    for (const Rate rate :
         {Rate{1, 255}, Rate{7, 1000}, Rate{3000, 255}, Rate{1'000'000, 4096}, Rate{Rate::highest, 255}}) {
        Bucket bucket;
        Time now = start;
        std::uint64_t taken = 0;
        for (int i = 0; i < 2000; ++i) {
            const std::uint64_t want = static_cast<std::uint64_t>(1 + i * 37 % 255);
            now = std::max(now, bucket.ready_at(rate, want));
            REQUIRE(bucket.level(rate, now) >= want - 1); // rounded down
            bucket.take(rate, want, now);
            taken += want;
            const double seconds = std::chrono::duration<double>(now - start).count();
            REQUIRE(static_cast<double>(taken) <= seconds * static_cast<double>(rate.bytes_per_s) * 1.000001 +
                                                      static_cast<double>(rate.burst) + 1);
        }
        // And who is always there gets all of it: a nanosecond may be lost a request.
        const double all =
            std::chrono::duration<double>(now - start).count() * static_cast<double>(rate.bytes_per_s);
        CHECK(static_cast<double>(taken) >= all * 0.99);
    }
}

TEST_CASE("rate: the largest numbers do not overflow") {
    for (const Rate rate : {Rate{1, Rate::highest}, Rate{Rate::highest, Rate::highest}}) {
        Bucket bucket;
        CHECK(bucket.level(rate, start) == Rate::highest);
        bucket.take(rate, Rate::highest, start);
        CHECK(bucket.level(rate, start) == 0);
        CHECK(bucket.ready_at(rate, Rate::highest) == start + rate.time(Rate::highest));
        CHECK(bucket.level(rate, start + rate.time(Rate::highest / 2)) == Rate::highest / 2);
        CHECK(bucket.ready_at(rate, 0) == start);
    }
}

TEST_CASE("time-outs: silence ends a client, a request starts it anew, and waiting is no silence") {
    Timeouts limits;
    CHECK_FALSE(limits.any());
    const auto read = [&limits](const char* text) {
        return limits.read(config::parse_address(text).value());
    };
    REQUIRE(read("tcp:h:1,idle=60"));
    CHECK(limits.any());
    CHECK(limits.tick() == 15s);
    Quiet quiet;
    for (int i = 0; i < 4; ++i) { // up to 60 s
        CHECK_FALSE(quiet.tick(limits));
    }
    quiet.heard();
    for (int i = 0; i < 4; ++i) {
        CHECK_FALSE(quiet.tick(limits));
    }
    quiet.rest();
    for (int i = 0; i < 4; ++i) {
        CHECK_FALSE(quiet.tick(limits));
    }
    CHECK(quiet.tick(limits)); // 60 to 75 s
}

TEST_CASE("time-outs: the handshake has its own, until the first request") {
    Timeouts limits;
    REQUIRE(limits.read(config::parse_address("tcp:h:1,handshake=4,idle=8").value()));
    CHECK(limits.tick() == 1s);
    Quiet late, early;
    early.heard();
    for (int i = 0; i < 4; ++i) {
        CHECK_FALSE(late.tick(limits));
        CHECK_FALSE(early.tick(limits));
    }
    CHECK(late.tick(limits));
    for (int i = 0; i < 4; ++i) {
        CHECK_FALSE(early.tick(limits));
    }
    CHECK(early.tick(limits));

    Timeouts only;
    REQUIRE(only.read(config::parse_address("tcp:h:1,handshake=10").value()));
    CHECK(only.tick() == 2500ms);
    Quiet begun;
    begun.heard();
    for (int i = 0; i < 1000; ++i) {
        CHECK_FALSE(begun.tick(only));
    }
}

TEST_CASE("time-outs: bad ones are refused") {
    Timeouts limits;
    for (const char* text :
         {"tcp:h:1,idle=0", "tcp:h:1,handshake=1.5", "tcp:h:1,idle=604801", "tcp:h:1,idle=-1"}) {
        CHECK_FALSE(limits.read(config::parse_address(text).value()));
    }
    CHECK_FALSE(limits.any());
}
