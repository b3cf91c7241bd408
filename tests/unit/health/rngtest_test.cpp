// The verdicts of FIPS 140-2 beside those of rngtest (package rng-tools-debian), which others wrote: the same
// samples to both, and the counts of failures compared. Without rngtest this test fails.
#include <algorithm>
#include <cstdio>
#include <string>

#include <doctest/doctest.h>

#include "ekeyd/health/fips140_2.h"
#include "tests/support/rngtest.h"
#include "tests/unit/health/samples.h"

using namespace ekey;

namespace {

struct Counts {
    long passed = 0, failed = 0, monobit = 0, poker = 0, runs = 0, long_run = 0, continuous = 0;
    bool operator==(const Counts&) const = default;
};

doctest::String toString(const Counts& c) {
    char text[200];
    std::snprintf(text, sizeof text,
                  "passed %ld failed %ld monobit %ld poker %ld runs %ld long %ld continuous %ld", c.passed,
                  c.failed, c.monobit, c.poker, c.runs, c.long_run, c.continuous);
    return text;
}

Counts theirs_of(ByteView samples) {
    const std::string text = test::rngtest(samples);
    const auto number = [&text](const char* label) {
        return static_cast<long>(test::rngtest_number(text, label));
    };
    return {.passed = number("FIPS 140-2 successes: "),
            .failed = number("FIPS 140-2 failures: "),
            .monobit = number("Monobit: "),
            .poker = number("Poker: "),
            .runs = number("Runs: "),
            .long_run = number("Long run: "),
            .continuous = number("Continuous run: ")};
}

// Ours takes the same first 32 bits as the last of a block that does not count.
Counts ours_of(ByteView samples) {
    std::array<Byte, health::block_size> block{};
    std::copy_n(samples.begin(), 4, block.end() - 4);
    health::Fips140_2 fips;
    fips.test(block);
    Counts counts;
    for (std::size_t at = 4; at + health::block_size <= samples.size(); at += health::block_size) {
        const health::Fips140_2Verdict verdict = fips.test(samples.subspan(at).first<health::block_size>());
        ++(verdict.passed() ? counts.passed : counts.failed);
        counts.monobit += verdict.monobit;
        counts.poker += verdict.poker;
        counts.runs += verdict.runs;
        counts.long_run += verdict.long_run;
        counts.continuous += verdict.continuous;
    }
    return counts;
}

constexpr std::size_t blocks = 400;
constexpr std::size_t size = 4 + blocks * health::block_size;

} // namespace

TEST_CASE("rngtest and we agree on bits of 50 to 53 % ones, where some blocks pass and some fail") {
    Counts all;
    for (unsigned percent10 = 500; percent10 <= 530; percent10 += 5) {
        CAPTURE(percent10);
        const std::vector<Byte> samples = test::biased(size, percent10 * 65536 / 1000, percent10);
        const Counts theirs = theirs_of(samples);
        CHECK(ours_of(samples) == theirs);
        CHECK(theirs.passed + theirs.failed == blocks);
        all.passed += theirs.passed;
        all.monobit += theirs.monobit;
        all.poker += theirs.poker;
        all.runs += theirs.runs;
        all.failed += theirs.failed;
    }
    MESSAGE("rngtest: ", toString(all));
    CHECK(all.passed > 100); // both verdicts occur, and each test decides something
    CHECK(all.monobit > 100);
    CHECK(all.poker > 100);
    CHECK(all.runs > 10);
}

TEST_CASE("rngtest and we agree on uniform samples with runs of 20 to 30 bits and repeated words put in") {
    std::vector<Byte> samples = test::uniform(size, 3);
    const std::vector<Byte> choices = test::uniform(6 * blocks, 4);
    for (std::size_t block = 0; block < blocks; ++block) {
        const Byte* choice = &choices[6 * block];
        const std::size_t begin = 4 + block * health::block_size; // some runs cross into the next block
        const std::size_t at = 8 * begin + (choice[0] * 256U + choice[1]) % 20000;
        for (std::size_t bit = at; bit < std::min(at + 20 + choice[2] % 11, 8 * size); ++bit) {
            const Byte mask = static_cast<Byte>(0x80 >> (bit % 8));
            samples[bit / 8] =
                static_cast<Byte>(choice[3] % 2 != 0 ? samples[bit / 8] | mask : samples[bit / 8] & ~mask);
        }
        if (choice[4] % 3 == 0) { // the first word of some blocks repeats the last of the block before
            const std::size_t word = begin + (choice[5] % 5 == 0 ? 0 : choice[5] % 4 * std::size_t{800});
            std::copy_n(samples.begin() + static_cast<std::ptrdiff_t>(word) - 4, 4,
                        samples.begin() + static_cast<std::ptrdiff_t>(word));
        }
    }
    const Counts theirs = theirs_of(samples);
    CHECK(ours_of(samples) == theirs);
    MESSAGE("rngtest: ", toString(theirs));
    CHECK(theirs.long_run > 50);
    CHECK(theirs.long_run < 350);
    CHECK(theirs.continuous > 50);
    CHECK(theirs.continuous < 350);
}

TEST_CASE("rngtest and we agree on markov bits, whose runs are too many or too few while ones are half") {
    Counts all;
    for (unsigned step = 0; step <= 10; ++step) {
        // Each bit differs from the one before with a probability of 0.475 to 0.525.
        std::vector<Byte> samples = test::biased(size, 31130 + 328 * step, 77 + step);
        unsigned last = 0;
        for (Byte& byte : samples) {
            unsigned out = 0;
            for (unsigned i = 0; i < 8; ++i) {
                last ^= (byte >> (7 - i)) & 1U;
                out = 2 * out + last;
            }
            byte = static_cast<Byte>(out);
        }
        const Counts theirs = theirs_of(samples);
        CAPTURE(step);
        CHECK(ours_of(samples) == theirs);
        all.runs += theirs.runs;
        all.failed += theirs.failed;
        all.passed += theirs.passed;
    }
    MESSAGE("rngtest: ", toString(all));
    CHECK(all.runs > 100);
    CHECK(all.passed > 100);
}
