#include "ekeyd/health/adaptive_proportion.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/unit/health/samples.h"

using namespace ekey;
using health::AdaptiveProportion;

namespace {

// SP 800-90B 4.4.2 as it is written.
std::size_t reference(ByteView samples, unsigned cutoff) {
    std::size_t next = 0;
    while (next < samples.size()) {
        const Byte a = samples[next++];
        unsigned b = 1;
        for (unsigned i = 1; i < 512 && next < samples.size(); ++i, ++next) {
            if (samples[next] == a && ++b >= cutoff) {
                return next;
            }
        }
    }
    return samples.size();
}

std::size_t in_pieces(AdaptiveProportion test, ByteView samples, std::size_t piece) {
    for (std::size_t at = 0; at < samples.size(); at += piece) {
        const ByteView part = samples.subspan(at, std::min(piece, samples.size() - at));
        if (const std::size_t failed = test.test(part); failed != part.size()) {
            return at + failed;
        }
    }
    return samples.size();
}

constexpr std::size_t pieces[] = {1, 2, 7, 16, 32, 33, 100, 511, 512, 513, 2000};

} // namespace

TEST_CASE("adaptive proportion: the window is 512 samples, its first one included") {
    // The value 9 at the first of a window and at `last`, and nowhere else.
    for (const std::size_t window : {0, 1, 2}) {
        for (const std::size_t last : {511, 512}) {
            CAPTURE(window);
            CAPTURE(last);
            std::vector<Byte> samples(2000);
            for (std::size_t i = 0; i < samples.size(); ++i) {
                samples[i] =
                    static_cast<Byte>(i % 512 == 0 ? 10 + i / 512 : 100); // other windows count no 100s
            }
            samples[512 * window] = 9;
            samples[512 * window + last] = 9;
            const std::size_t expected = last == 511 ? 512 * window + 511 : samples.size();
            for (const std::size_t piece : pieces) {
                CAPTURE(piece);
                CHECK(in_pieces(AdaptiveProportion(2), samples, piece) == expected);
            }
        }
    }
}

TEST_CASE("adaptive proportion: one below the cut-off passes, the cut-off fails at its last sample") {
    for (const unsigned count : {21U, 22U}) {
        std::vector<Byte> samples(512);
        for (std::size_t i = 0; i < samples.size(); ++i) {
            samples[i] = static_cast<Byte>(1 + i % 250);
        }
        samples[0] = 0;
        for (unsigned i = 1; i < count; ++i) {
            samples[20 * i + 3] = 0;
        }
        const std::size_t expected = count < 22 ? 512 : 20 * 21 + 3;
        for (const std::size_t piece : pieces) {
            CAPTURE(piece);
            CHECK(in_pieces(AdaptiveProportion(22), samples, piece) == expected);
        }
    }
}

TEST_CASE("adaptive proportion: skewed samples, cut in any way, against the standard's text") {
    for (unsigned seed = 0; seed < 100; ++seed) {
        std::vector<Byte> samples = test::uniform(2600, seed);
        for (Byte& sample : samples) {
            sample = static_cast<Byte>(sample < 100 ? sample % 2 : sample);
        }
        for (const unsigned cutoff : {2U, 16U, 100U, 105U, 110U, 115U, 512U}) {
            const std::size_t expected = reference(samples, cutoff);
            for (const std::size_t piece : pieces) {
                CHECK(in_pieces(AdaptiveProportion(cutoff), samples, piece) == expected);
            }
        }
    }
}

TEST_CASE("adaptive proportion: a window full of one value counts to 512") {
    const std::vector<Byte> zeros(512);
    CHECK(in_pieces(AdaptiveProportion(512), zeros, 512) == 511);
    CHECK(in_pieces(AdaptiveProportion(511), zeros, 100) == 510);
}

TEST_CASE("adaptive proportion: restart begins a new window") {
    AdaptiveProportion test(3);
    const Byte two[] = {1, 1};
    CHECK(test.test(two) == 2);
    test.restart();
    CHECK(test.test(two) == 2);
    CHECK(test.test({}) == 0);
    CHECK(test.test(two) == 0);
}
