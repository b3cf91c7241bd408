#include "ekeyd/health/repetition_count.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/unit/health/samples.h"

using namespace ekey;
using health::RepetitionCount;

namespace {

// SP 800-90B 4.4.1 as it is written.
std::size_t reference(ByteView samples, unsigned cutoff) {
    unsigned count = 0;
    int last = -1;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        if (samples[i] == last) {
            if (++count >= cutoff) {
                return i;
            }
        } else {
            last = samples[i];
            count = 1;
        }
    }
    return samples.size();
}

// The failing index when the samples come in pieces of `piece` bytes.
std::size_t in_pieces(RepetitionCount test, ByteView samples, std::size_t piece) {
    for (std::size_t at = 0; at < samples.size(); at += piece) {
        const ByteView part = samples.subspan(at, std::min(piece, samples.size() - at));
        if (const std::size_t failed = test.test(part); failed != part.size()) {
            return at + failed;
        }
    }
    return samples.size();
}

} // namespace

TEST_CASE("repetition count: one below the cut-off passes, the cut-off fails at its last sample") {
    for (std::size_t start = 0; start < 70; ++start) {
        CAPTURE(start);
        for (const unsigned length : {5U, 6U}) {
            std::vector<Byte> samples(150);
            for (std::size_t i = 0; i < samples.size(); ++i) {
                samples[i] = static_cast<Byte>(i);
            }
            std::fill_n(samples.begin() + static_cast<std::ptrdiff_t>(start), length, Byte{200});
            const std::size_t expected = length < 6 ? samples.size() : start + 5;
            for (const std::size_t piece : {1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 64, 150}) {
                CAPTURE(piece);
                CHECK(in_pieces(RepetitionCount(6), samples, piece) == expected);
            }
        }
    }
}

TEST_CASE("repetition count: zeros at the very beginning count from one") {
    const std::vector<Byte> zeros(40);
    CHECK(in_pieces(RepetitionCount(31), zeros, 40) == 30);
    CHECK(in_pieces(RepetitionCount(31), zeros, 7) == 30);
    CHECK(in_pieces(RepetitionCount(41), zeros, 40) == 40);
}

TEST_CASE("repetition count: samples with many repeats, cut in any way, against the standard's text") {
    for (unsigned seed = 0; seed < 200; ++seed) {
        std::vector<Byte> samples = test::uniform(400, seed);
        for (Byte& sample : samples) {
            sample = sample < 200 ? 7 : sample; // runs of sevens, some of them long
        }
        for (const unsigned cutoff : {3U, 4U, 5U, 12U, 20U}) {
            const std::size_t expected = reference(samples, cutoff);
            for (const std::size_t piece : {1, 3, 16, 17, 32, 100, 400}) {
                CHECK(in_pieces(RepetitionCount(cutoff), samples, piece) == expected);
            }
        }
    }
}

TEST_CASE("repetition count: restart forgets the run, and no samples are no failure") {
    RepetitionCount test(3);
    const Byte two[] = {1, 1};
    CHECK(test.test(two) == 2);
    test.restart();
    CHECK(test.test(two) == 2);
    CHECK(test.test({}) == 0);
    CHECK(test.test(two) == 0);
}
