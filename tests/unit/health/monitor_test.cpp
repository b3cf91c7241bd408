#include "ekeyd/health/monitor.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "ekeyd/runtime/secret.h"
#include "tests/unit/health/samples.h"

using namespace ekey;
using namespace ekey::health;

namespace {

using Bytes = std::vector<Byte>;

void append(Bytes& to, ByteView what) {
    to.insert(to.end(), what.begin(), what.end());
}

// Everything that feeding in pieces of `piece` bytes releases.
Bytes feed_all(Monitor& monitor, ByteView samples, std::size_t piece) {
    Bytes out;
    while (!samples.empty()) {
        ByteView part = samples.first(std::min(piece, samples.size()));
        samples = samples.subspan(part.size());
        while (!part.empty()) {
            ByteView released;
            const std::size_t used = monitor.feed(part, released);
            REQUIRE(used > 0);
            REQUIRE(used <= part.size());
            REQUIRE((released.empty() || released.size() == block_size));
            append(out, released);
            part = part.subspan(used);
        }
    }
    return out;
}

// A block that passes FIPS 140-2 and one that does not (0xcc in place of every ninth byte: too many runs of
// two) but whose bytes neither repeat nor crowd.
Bytes good_block(unsigned n) {
    for (unsigned seed = 1000 * n;; ++seed) {
        Bytes block = test::uniform(block_size, seed);
        if (Fips140_2().test(ByteView(block).first<block_size>()).passed()) {
            return block;
        }
    }
}
Bytes bad_block(unsigned n) {
    Bytes block = good_block(n);
    for (Byte& byte : block) {
        byte |= 0x10; // one bit of eight is stuck: monobit, poker and runs fail, and 128 values are left
    }
    REQUIRE_FALSE(Fips140_2().test(ByteView(block).first<block_size>()).passed());
    return block;
}

Bytes stream(std::initializer_list<Bytes> blocks) {
    Bytes all;
    for (const Bytes& block : blocks) {
        append(all, block);
    }
    return all;
}

bool same(const Counters& a, const Counters& b) {
    return std::memcmp(&a, &b, sizeof a) == 0; // nothing but 64-bit counters
}

constexpr Settings raw{.min_entropy = 7.0, .fips = false};

} // namespace

TEST_CASE("promise 1: no byte is released before the whole startup block has passed") {
    Monitor monitor(Settings{});
    CHECK(monitor.state() == State::starting);
    const Bytes block = good_block(1);
    CHECK(feed_all(monitor, ByteView(block).first(block_size - 1), 100).empty());
    CHECK(monitor.state() == State::starting);
    CHECK(monitor.bytes_held() == block_size - 1);
    ByteView released;
    CHECK(monitor.feed(ByteView(block).last(1), released) == 1);
    CHECK(monitor.state() == State::healthy);
    CHECK(std::ranges::equal(released, block));
    CHECK(monitor.counters().bytes_released == block_size);
    CHECK(monitor.bytes_held() == 0);
}

TEST_CASE(
    "promise 1: a startup block that fails FIPS 140-2 fails the source, and nothing of it is released") {
    Monitor monitor(Settings{});
    CHECK(feed_all(monitor, stream({bad_block(1), good_block(2)}), 1000).empty());
    CHECK(monitor.state() == State::failed);
    CHECK(monitor.failure() == Failure::fips_rate);
    CHECK(monitor.detail() == "the startup block failed FIPS 140-2: monobit, poker, runs");
    CHECK(monitor.counters().bytes_discarded == 2 * block_size);
    CHECK(monitor.counters().bytes_tested == block_size);
}

TEST_CASE("promise 1: a later block that fails FIPS 140-2 is discarded whole, its neighbours are released") {
    Monitor monitor(Settings{});
    const Bytes out = feed_all(monitor, stream({good_block(1), bad_block(2), good_block(3)}), 977);
    CHECK(out == stream({good_block(1), good_block(3)}));
    CHECK(monitor.state() == State::healthy);
    const Counters& counters = monitor.counters();
    CHECK(counters.bytes_discarded == block_size);
    CHECK(counters.bytes_released == 2 * block_size);
    CHECK(counters.bytes_tested == 3 * block_size);
    CHECK(counters.blocks_passed == 2);
    CHECK(counters.blocks_failed == 1);
    CHECK(counters.monobit == 1);
    CHECK(counters.poker == 1);
    CHECK(counters.runs == 1);
    CHECK(counters.long_run == 0);
    CHECK(counters.continuous == 0);
}

TEST_CASE("promise 1: two equal words discard their block; a word that repeats the last of the block before, "
          "its own") {
    Bytes inside = good_block(2), across = good_block(4);
    std::copy_n(inside.begin() + 400, 4, inside.begin() + 404);
    std::copy_n(good_block(3).end() - 4, 4, across.begin());
    Monitor monitor(Settings{});
    const Bytes out =
        feed_all(monitor, stream({good_block(1), inside, good_block(3), across, good_block(5)}), 2000);
    CHECK(out == stream({good_block(1), good_block(3), good_block(5)}));
    CHECK(monitor.counters().continuous == 2);
    CHECK(monitor.counters().blocks_failed == 2);
}

TEST_CASE("promise 1: three blocks in a row, or five of 128, fail the source") {
    SUBCASE("three in a row") {
        Monitor monitor(Settings{});
        const Bytes in = stream({good_block(1), bad_block(2), bad_block(3), bad_block(4), good_block(5)});
        CHECK(feed_all(monitor, in, 600) == good_block(1));
        CHECK(monitor.state() == State::failed);
        CHECK(monitor.failure() == Failure::fips_rate);
        CHECK(monitor.detail() == "3 blocks in a row failed FIPS 140-2, the last one: monobit, poker, runs");
        CHECK(monitor.counters().fips_rate == 1);
    }
    SUBCASE("five of the last 128, and four are borne") {
        Monitor monitor(Settings{});
        feed_all(monitor, good_block(1), block_size);
        for (unsigned i = 0; i < 4; ++i) {
            feed_all(monitor, stream({bad_block(2), good_block(3)}), block_size);
        }
        CHECK(monitor.state() == State::healthy);
        feed_all(monitor, bad_block(4), block_size);
        CHECK(monitor.state() == State::failed);
        CHECK(monitor.detail() ==
              "5 of the last 128 blocks failed FIPS 140-2, the last one: monobit, poker, runs");
    }
}

TEST_CASE("promise 1: a stuck source is found within the block, and all that is held is thrown away") {
    Bytes in = stream({good_block(1), good_block(2)});
    // 7 bits claimed: 6 equal bytes fail, 5 do not (SP 800-90B 4.4.1, alpha 2^-30).
    std::fill_n(in.begin() + 4000, 6, Byte{0x5a});
    in[3999] = 0;
    for (const Settings& settings : {Settings{}, raw}) {
        Monitor monitor(settings);
        CHECK(feed_all(monitor, in, 700) == good_block(1));
        CHECK(monitor.state() == State::failed);
        CHECK(monitor.failure() == Failure::repetition);
        CHECK(monitor.detail() == "6 equal bytes came in a row, the limit at 7 bits a byte");
        CHECK(monitor.counters().repetition == 1);
        CHECK(monitor.counters().bytes_tested == 4006);
        CHECK(monitor.counters().bytes_discarded == block_size);
        CHECK(monitor.bytes_held() == 0);
    }
    in[4005] = 0x5b;
    Monitor monitor(raw);
    CHECK(feed_all(monitor, in, 700).size() == 2 * block_size);
}

TEST_CASE("promise 1: equal bytes are counted across the edge of two blocks") {
    Bytes in = stream({good_block(1), good_block(2)});
    std::fill_n(in.begin() + block_size - 3, 6, Byte{0x5a});
    Monitor monitor(raw);
    CHECK(feed_all(monitor, in, 2 * block_size).size() == block_size); // the first was whole and had passed
    CHECK(monitor.failure() == Failure::repetition);
}

TEST_CASE("promise 1: one value too often in a window of 512 fails the source") {
    for (const unsigned times : {21U, 22U}) { // 22 is the cut-off at 7 bits (SP 800-90B 4.4.2, alpha 2^-30)
        CAPTURE(times);
        Bytes in = stream({good_block(1), good_block(2)});
        // The window 2560..3071, in the second block.
        std::ranges::replace(in.begin() + 2560, in.begin() + 3072, Byte{7}, Byte{8});
        for (unsigned i = 0; i < times; ++i) {
            in[2560 + 20 * i] = 7;
        }
        Monitor monitor(raw);
        const Bytes out = feed_all(monitor, in, 333);
        if (times == 21) {
            CHECK(out == in);
            CHECK(monitor.state() == State::healthy);
        } else {
            CHECK(out == good_block(1));
            CHECK(monitor.failure() == Failure::proportion);
            CHECK(monitor.detail() == "one value came 22 times in 512 bytes, the limit at 7 bits a byte");
            CHECK(monitor.counters().proportion == 1);
            CHECK(monitor.counters().bytes_tested == 2560 + 20 * 21 + 1);
        }
    }
}

TEST_CASE(
    "promise 1: a failed source releases nothing until restart, and then begins with the startup test") {
    Monitor monitor(Settings{});
    feed_all(monitor, good_block(1), 5000);
    feed_all(monitor, ByteView(good_block(2)).first(1000), 5000);
    monitor.fail(Failure::device, "the device says that a generator failed");
    CHECK(monitor.state() == State::failed);
    CHECK(monitor.failure() == Failure::device);
    CHECK(monitor.detail() == "the device says that a generator failed");
    CHECK(monitor.counters().device == 1);
    CHECK(monitor.counters().bytes_discarded == 1000);
    CHECK(feed_all(monitor, stream({good_block(3), good_block(4)}), 1234).empty());
    CHECK(monitor.counters().bytes_discarded == 1000 + 2 * block_size);

    monitor.restart();
    CHECK(monitor.state() == State::starting);
    CHECK(monitor.failure() == Failure::device); // why it last was
    CHECK(feed_all(monitor, ByteView(good_block(5)).first(block_size - 1), 999).empty());
    CHECK(monitor.state() == State::starting);
    CHECK(feed_all(monitor, ByteView(good_block(5)).last(1), 1) == good_block(5));
    CHECK(monitor.state() == State::healthy);
    CHECK(monitor.counters().bytes_tested == 1000 + 2 * block_size);
}

TEST_CASE(
    "promise 1: restart in the middle of a block throws away what was held, and forgets runs and words") {
    Monitor monitor(Settings{});
    Bytes first = good_block(1), second = good_block(2);
    std::fill_n(first.begin() + 1000, 5, Byte{0x5a});
    feed_all(monitor, ByteView(first).first(1005), 5000);
    monitor.restart();
    CHECK(monitor.counters().bytes_discarded == 1005);
    second[0] = 0x5a; // would be the sixth in a row
    CHECK(feed_all(monitor, second, 5000) == second);
}

TEST_CASE("restart forgets what each test remembered of the samples before") {
    SUBCASE("the last word of the block before") {
        Monitor monitor(Settings{});
        const Bytes first = good_block(1);
        Bytes second = good_block(2);
        std::copy_n(first.end() - 4, 4, second.begin());
        feed_all(monitor, first, 5000);
        monitor.restart();
        CHECK(feed_all(monitor, second, 5000) == second);
    }
    SUBCASE("the window of the proportion test") {
        Bytes in = good_block(1);
        for (unsigned i = 0; i < 22; ++i) { // the cut-off at 7 bits
            in[std::size_t{20} * i] = 7;
        }
        Monitor monitor(raw);
        feed_all(monitor, ByteView(in).first(1 + 20 * 10), 5000); // 11 of them
        monitor.restart();
        feed_all(monitor, ByteView(in).subspan(1 + 20 * 10), 5000);
        CHECK(monitor.state() == State::starting);
    }
}

TEST_CASE("promise 1: who failed passes no startup test by luck: four more blocks for each that failed") {
    Monitor monitor(Settings{});
    SUBCASE("the startup block itself") {
        feed_all(monitor, bad_block(1), 5000);
        monitor.restart();
        const Bytes out =
            feed_all(monitor, stream({good_block(2), good_block(3), good_block(4), good_block(5)}), 977);
        CHECK(out.empty());
        CHECK(monitor.state() == State::starting);
        CHECK(monitor.counters().bytes_discarded == 5 * block_size);
        CHECK(feed_all(monitor, stream({good_block(6), good_block(7)}), 977) ==
              stream({good_block(6), good_block(7)}));
        CHECK(monitor.state() == State::healthy);
    }
    SUBCASE("one that fails among them fails the source again, and the next test is longer") {
        feed_all(monitor, bad_block(1), 5000);
        monitor.restart();
        CHECK(feed_all(monitor, stream({good_block(2), good_block(3), bad_block(4)}), 5000).empty());
        CHECK(monitor.state() == State::failed);
        monitor.restart();
        for (unsigned i = 0; i < 8; ++i) {
            CHECK(feed_all(monitor, good_block(5 + i), 5000).empty());
        }
        CHECK(feed_all(monitor, good_block(20), 5000) == good_block(20));
    }
    SUBCASE("blocks that failed while it was healthy count, and go on to count in the rate") {
        feed_all(monitor, good_block(1), 5000);
        for (unsigned i = 0; i < 4; ++i) {
            feed_all(monitor, stream({bad_block(2), good_block(3)}), 5000);
        }
        monitor.restart();
        for (unsigned i = 0; i < 16; ++i) {
            CHECK(feed_all(monitor, good_block(1), 5000).empty());
        }
        CHECK(feed_all(monitor, good_block(2), 5000) == good_block(2));
        feed_all(monitor, bad_block(2), 5000);
        CHECK(monitor.state() == State::failed);
        CHECK(monitor.detail() ==
              "5 of the last 128 blocks failed FIPS 140-2, the last one: monobit, poker, runs");
    }
    SUBCASE("never more than 64") {
        for (unsigned i = 0; i < 30; ++i) {
            feed_all(monitor, bad_block(1), 5000);
            monitor.restart();
        }
        for (unsigned i = 0; i < 63; ++i) {
            CHECK(feed_all(monitor, good_block(1), 5000).empty());
        }
        CHECK(feed_all(monitor, good_block(2), 5000) == good_block(2));
    }
    SUBCASE("nothing is remembered of one that is begun anew") {
        feed_all(monitor, bad_block(1), 5000);
        monitor.begin_anew();
        CHECK(feed_all(monitor, good_block(2), 5000) == good_block(2));
    }
}

TEST_CASE("the first reason of a failure stays, and the newest of its kind; all are counted") {
    Monitor monitor(raw);
    monitor.fail(Failure::silence, "no bytes for 10 s");
    monitor.fail(Failure::device, "the device is gone");
    CHECK(monitor.failure() == Failure::silence);
    CHECK(monitor.detail() == "no bytes for 10 s");
    CHECK(monitor.counters().silence == 1);
    CHECK(monitor.counters().device == 1);
    monitor.fail(Failure::silence, "it is there, and has no key");
    CHECK(monitor.failure() == Failure::silence);
    CHECK(monitor.detail() == "it is there, and has no key");
    CHECK(monitor.counters().silence == 2);
}

TEST_CASE("promise 1: zeros fail at once, whatever entropy is claimed, none included") {
    for (const double claim : {0.0, 0.125, 0.5, 1.0, 4.0, 7.5, 8.0}) {
        CAPTURE(claim);
        Monitor monitor(Settings{.min_entropy = claim, .fips = false});
        CHECK(feed_all(monitor, Bytes(10 * block_size), 1000).empty());
        CHECK(monitor.failure() == Failure::repetition);
        CHECK(monitor.counters().bytes_tested <= 241);
    }
}

TEST_CASE("raw noise is released on the continuous tests alone") {
    Monitor monitor(raw);
    const Bytes in = stream({bad_block(1), bad_block(2)});
    CHECK(feed_all(monitor, in, 777) == in);
    CHECK(monitor.counters().blocks_passed == 0); // of FIPS 140-2
    CHECK(monitor.counters().blocks_failed == 0);
}

TEST_CASE("the outcome does not depend on how the samples are cut") {
    for (unsigned seed = 0; seed < 20; ++seed) {
        CAPTURE(seed);
        Bytes in = test::uniform(9 * block_size + 123, seed);
        const Bytes where = test::uniform(16, 100 + seed);
        const std::size_t at = (where[0] * 256U + where[1]) % (8 * block_size);
        switch (seed % 5) { // a fault of each kind somewhere
        case 0: break;
        case 1: std::fill_n(in.begin() + static_cast<std::ptrdiff_t>(at), 8, Byte{1}); break;
        case 2:
            for (std::size_t i = at; i < at + 1024; ++i) {
                in[i] = static_cast<Byte>(i % 10 == 0 ? 3 : in[i]);
            }
            break;
        case 3: std::copy_n(&in[at / 4 * 4], 4, &in[at / 4 * 4 + 4]); break;
        default:
            for (std::size_t i = 3 * block_size; i < 7 * block_size; ++i) {
                in[i] |= 0x08;
            }
        }
        Monitor whole(Settings{});
        const Bytes expected = feed_all(whole, in, in.size());
        for (const std::size_t piece : {1, 2, 3, 31, 32, 33, 511, 1000, 2499, 2500, 2501, 7000}) {
            CAPTURE(piece);
            Monitor cut(Settings{});
            CHECK(feed_all(cut, in, piece) == expected);
            CHECK(cut.state() == whole.state());
            CHECK(cut.failure() == whole.failure());
            CHECK(cut.detail() == whole.detail());
            CHECK(same(cut.counters(), whole.counters()));
            CHECK(cut.bytes_held() == whole.bytes_held());
        }
    }
}

TEST_CASE("an empty feed changes nothing") {
    Monitor monitor(Settings{});
    ByteView released;
    CHECK(monitor.feed({}, released) == 0);
    CHECK(released.empty());
    CHECK(monitor.counters().bytes_tested == 0);
    CHECK(monitor.state() == State::starting);
}

TEST_CASE("promise 6: the block is wiped when it was released, when it was discarded, and at the end") {
    const auto holds = [](const Monitor& monitor, ByteView what) {
        const ByteView memory{reinterpret_cast<const Byte*>(&monitor), sizeof monitor};
        return std::search(memory.begin(), memory.end(), what.begin(), what.end()) != memory.end();
    };
    const Bytes first = good_block(1), second = good_block(2);
    const auto monitor = make_locked<Monitor>(Settings{});
    ByteView released;
    monitor->feed(first, released);
    CHECK(holds(*monitor, ByteView(first).subspan(1000, 8)));
    monitor->feed({}, released);
    CHECK_FALSE(holds(*monitor, ByteView(first).subspan(1000, 8)));
    monitor->feed(ByteView(second).first(1008), released);
    CHECK(holds(*monitor, ByteView(second).subspan(1000, 8)));
    monitor->fail(Failure::silence, "test");
    CHECK_FALSE(holds(*monitor, ByteView(second).subspan(1000, 8)));
}
