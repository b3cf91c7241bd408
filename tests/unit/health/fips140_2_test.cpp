#include "ekeyd/health/fips140_2.h"

#include <algorithm>
#include <bit>
#include <random>

#include <doctest/doctest.h>

#include "tests/unit/health/reference.h"
#include "tests/unit/health/samples.h"

using namespace ekey;
using health::block_size;
using health::Fips140_2;
using health::Fips140_2Verdict;

namespace {

using Block = std::array<Byte, block_size>;
using RunTable = std::array<std::array<unsigned, 6>, 2>;

Fips140_2Verdict test_alone(const Block& block) {
    Fips140_2 fips;
    return fips.test(block);
}

void check_like_reference(const Block& block) {
    const test::ReferenceFips reference = test::reference_fips(block, {});
    CHECK(test_alone(block) == reference.verdict());
    const Fips140_2::Figures figures = Fips140_2().measure(block);
    CHECK(figures.ones == reference.ones);
    CHECK(figures.poker_squares == reference.poker_squares);
    CHECK(figures.runs == reference.runs);
}

// The nth uniform block that passes all tests, by the reference.
Block good_block(unsigned n) {
    for (unsigned seed = 1000 * n;; ++seed) {
        Block block;
        std::ranges::copy(test::uniform(block_size, seed), block.begin());
        if (test::reference_fips(block, {}).verdict().passed()) {
            return block;
        }
    }
}

void set_bit(Block& block, std::size_t at, bool one) {
    const Byte mask = static_cast<Byte>(0x80 >> (at % 8));
    block[at / 8] = static_cast<Byte>(one ? block[at / 8] | mask : block[at / 8] & ~mask);
}

// A block with exactly these numbers of runs, in random order. The lengths of those of six and more are
// chosen so that the bits come to 20,000.
Block block_of_runs(const RunTable& runs, std::mt19937& random) {
    std::array<std::vector<unsigned>, 2> lengths;
    unsigned bits = 0;
    for (std::size_t bit = 0; bit < 2; ++bit) {
        for (unsigned length = 6; length >= 1; --length) { // the long ones first
            lengths[bit].insert(lengths[bit].end(), runs[bit][length - 1], length);
            bits += runs[bit][length - 1] * length;
        }
    }
    REQUIRE(lengths[0].size() == lengths[1].size());
    REQUIRE(bits <= 20000);
    for (std::size_t i = 0; bits < 20000; ++i, ++bits) {
        const std::size_t bit = i % 2;
        ++lengths[bit][i / 2 % runs[bit][5]];
    }
    std::ranges::shuffle(lengths[0], random);
    std::ranges::shuffle(lengths[1], random);
    Block block{};
    std::size_t at = 0;
    for (std::size_t i = 0; i < 2 * lengths[0].size(); ++i) {
        for (unsigned left = lengths[i % 2][i / 2]; left > 0; --left) {
            set_bit(block, at++, i % 2 == 1);
        }
    }
    REQUIRE(at == 20000);
    return block;
}

} // namespace

TEST_CASE("monobit: 9725 < ones < 10275, by blocks with exactly so many ones") {
    for (const unsigned ones : {9724U, 9725U, 9726U, 10000U, 10274U, 10275U, 10276U}) {
        const bool failed = ones <= 9725 || ones >= 10275;
        CAPTURE(ones);
        Block block = good_block(1);
        unsigned now = test::reference_fips(block, {}).ones;
        // Flips bits spread over the block, so that nothing but their number changes much.
        for (std::size_t at = 0; now != ones; at = (at + 7919) % 20000) {
            const bool add = now < ones;
            if (((block[at / 8] >> (7 - at % 8)) & 1) != add) {
                set_bit(block, at, add);
                now += add ? 1U : -1U;
            }
        }
        CHECK(test_alone(block).monobit == failed);
        check_like_reference(block);
    }
}

// Sums of squares are even. 16/5000 * 1563174 - 5000 = 2.1568, 1563176: 2.1632, 1576928: 46.1696,
// 1576930: 46.176.
TEST_CASE("poker: 2.16 < X < 46.17, by blocks with exactly so many of each nibble") {
    struct Row {
        std::array<unsigned, 16> nibbles;
        unsigned squares;
        bool failed;
    };
    constexpr Row rows[] = {
        {{309, 321, 323, 310, 315, 323, 311, 316, 316, 304, 301, 310, 313, 311, 315, 302}, 1563174, true},
        {{314, 313, 318, 310, 318, 309, 323, 316, 311, 304, 307, 321, 311, 302, 321, 302}, 1563176, false},
        {{294, 333, 296, 283, 360, 353, 340, 271, 354, 307, 304, 279, 294, 293, 354, 285}, 1576928, false},
        {{329, 332, 340, 307, 265, 290, 330, 346, 332, 280, 263, 357, 309, 266, 340, 314}, 1576930, true},
    };
    std::mt19937 random(1);
    for (const Row& row : rows) {
        CAPTURE(row.squares);
        std::vector<unsigned> nibbles;
        unsigned squares = 0;
        for (unsigned value = 0; value < 16; ++value) {
            nibbles.insert(nibbles.end(), row.nibbles[value], value);
            squares += row.nibbles[value] * row.nibbles[value];
        }
        REQUIRE(nibbles.size() == 5000);
        REQUIRE(squares == row.squares);
        std::ranges::shuffle(nibbles, random);
        Block block;
        for (std::size_t i = 0; i < block_size; ++i) {
            block[i] = static_cast<Byte>(16 * nibbles[2 * i] + nibbles[2 * i + 1]);
        }
        CHECK(test_alone(block).poker == row.failed);
        check_like_reference(block);
    }
}

TEST_CASE("runs: each limit of each length, of zeros and of ones, by blocks with exactly so many runs") {
    constexpr unsigned min[] = {2315, 1114, 527, 240, 103, 103}, max[] = {2685, 1386, 723, 384, 209, 209};
    constexpr std::array<unsigned, 6> middle{2500, 1250, 625, 313, 156, 130};
    std::mt19937 random(2);
    for (std::size_t bit = 0; bit < 2; ++bit) {
        for (std::size_t i = 0; i < 6; ++i) {
            for (const unsigned count : {min[i] - 1, min[i], max[i], max[i] + 1}) {
                CAPTURE(bit);
                CAPTURE(i + 1);
                CAPTURE(count);
                RunTable runs{middle, middle};
                runs[bit][i] = count;
                // As many runs of the other bit, by its shortest ones, which stay within their limits.
                const int more = static_cast<int>(count) - static_cast<int>(middle[i]);
                const int in_ones = std::clamp(more, -150, 150);
                runs[1 - bit][0] += static_cast<unsigned>(in_ones);
                runs[1 - bit][1] += static_cast<unsigned>(more - in_ones);
                const Block block = block_of_runs(runs, random);
                REQUIRE(test::reference_fips(block, {}).runs == runs);
                CHECK(test_alone(block).runs == (count < min[i] || count > max[i]));
                check_like_reference(block);
            }
        }
    }
}

TEST_CASE("long run: 25 bits pass, 26 fail, wherever they stand") {
    for (const bool one : {false, true}) {
        for (const std::size_t length : {25, 26, 27, 34, 100}) {
            std::vector<std::size_t> places{0, 1, 2, 20000 - length, 20000 - length - 1};
            for (std::size_t at = 9000; at < 9017; ++at) {
                places.push_back(at);
            }
            for (const std::size_t at : places) {
                CAPTURE(one);
                CAPTURE(length);
                CAPTURE(at);
                Block block = good_block(2);
                for (std::size_t i = 0; i < length; ++i) {
                    set_bit(block, at + i, one);
                }
                if (at > 0) {
                    set_bit(block, at - 1, !one);
                }
                if (at + length < 20000) {
                    set_bit(block, at + length, !one);
                }
                REQUIRE(test::reference_fips(block, {}).longest_run == length);
                CHECK(test_alone(block).long_run == (length >= 26));
                check_like_reference(block);
            }
        }
    }
}

TEST_CASE("long run: a run does not go on into the next block") {
    Block first = good_block(2), second = good_block(3);
    std::fill(first.end() - 2, first.end(), Byte{0xff});
    std::fill(second.begin(), second.begin() + 2, Byte{0xff});
    first[block_size - 3] &= 0xfe;
    second[2] &= 0x7f;
    Fips140_2 fips;
    CHECK_FALSE(fips.test(first).long_run);
    CHECK_FALSE(fips.test(second).long_run);
}

TEST_CASE("continuous: equal neighbours among the 32-bit words, and no other equal bytes") {
    for (const std::size_t word : {1UL, 2UL, 300UL, 623UL, 624UL}) {
        CAPTURE(word);
        Block block = good_block(4);
        std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(4 * word) - 4, 4,
                    block.begin() + static_cast<std::ptrdiff_t>(4 * word));
        CHECK(test_alone(block).continuous);
        check_like_reference(block);
        block[4 * word] ^= 1;
        CHECK_FALSE(test_alone(block).continuous);
    }
    Block off = good_block(4); // four equal bytes beside each other, but not words of the block
    std::copy_n(off.begin() + 1, 4, off.begin() + 5);
    REQUIRE_FALSE(std::equal(off.begin(), off.begin() + 4, off.begin() + 4));
    CHECK_FALSE(test_alone(off).continuous);
    Block apart = good_block(4); // equal, but not neighbours
    std::copy_n(apart.begin(), 4, apart.begin() + 8);
    CHECK_FALSE(test_alone(apart).continuous);
}

TEST_CASE("continuous: the first word is compared with the last of the block before, until restart") {
    const Block first = good_block(5);
    Block second = good_block(6);
    std::copy_n(first.end() - 4, 4, second.begin());
    Fips140_2 fips;
    CHECK_FALSE(fips.test(first).continuous);
    CHECK(fips.test(second).continuous);
    CHECK_FALSE(fips.test(first).continuous);
    fips.restart();
    CHECK_FALSE(fips.test(second).continuous);
    Block zeros{}; // nothing before is not the same as a word of zeros before
    Fips140_2 fresh;
    Block other = good_block(7);
    std::fill_n(other.begin(), 4, Byte{0});
    CHECK_FALSE(fresh.test(other).continuous);
    CHECK(fresh.test(zeros).continuous);
}

TEST_CASE("uniform, biased and structured blocks: the verdicts and figures of the bit by bit reference") {
    std::vector<Block> blocks;
    const auto add = [&blocks](auto byte_at) {
        Block& block = blocks.emplace_back();
        for (std::size_t i = 0; i < block_size; ++i) {
            block[i] = static_cast<Byte>(byte_at(i));
        }
    };
    for (unsigned seed = 0; seed < 300; ++seed) {
        const std::vector<Byte> uniform = test::uniform(block_size, seed);
        const std::vector<Byte> biased = test::biased(block_size, 300 * seed % 65537, seed);
        add([&](std::size_t i) { return uniform[i]; });
        add([&](std::size_t i) { return biased[i]; });
        add([&](std::size_t i) { return uniform[i] % 3 == 0 ? 0xff : uniform[i] % 3 == 1 ? 0 : uniform[i]; });
        add([&](std::size_t i) { return uniform[i] & 0x0f; });
        add([&](std::size_t i) { return uniform[i / 3]; });
    }
    for (unsigned byte = 0; byte < 256; ++byte) {
        add([&](std::size_t) { return byte; });
        add([&](std::size_t i) { return byte + i; });
        add([&](std::size_t i) { return byte * i; });
    }
    Fips140_2 one_after_another; // nothing of a block but its last word may reach the next
    std::optional<std::array<Byte, 4>> before;
    for (const Block& block : blocks) {
        check_like_reference(block);
        CHECK(one_after_another.test(block) == test::reference_fips(block, before).verdict());
        before.emplace();
        std::copy_n(block.end() - 4, 4, before->begin());
    }
}
