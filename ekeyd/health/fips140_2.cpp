#include "ekeyd/health/fips140_2.h"

#include <algorithm>
#include <bit>

#include "ekeyd/health/vector.h"

namespace ekey::health {
namespace {

// The limits of the change notice, all inclusive.
constexpr unsigned min_ones = 9726, max_ones = 10274;
// X = 16/5000 * squares - 5000, 2.16 < X < 46.17: squares > 1,563,175 and squares < 1,576,928.125.
constexpr std::uint32_t min_poker_squares = 1563176, max_poker_squares = 1576928;
struct Limits {
    unsigned min, max;
};
constexpr std::array<Limits, 6> run_limits{
    {{2315, 2685}, {1114, 1386}, {527, 723}, {240, 384}, {103, 209}, {103, 209}}};
constexpr unsigned long_run = 26;

// The class of a byte's first or last run: 8 * bit + length - 1. A run of 8 is the whole byte.
constexpr std::size_t classes = 16;
constexpr unsigned bit_of(unsigned run_class) {
    return run_class / 8;
}
constexpr unsigned length_of(unsigned run_class) {
    return run_class % 8 + 1;
}
constexpr bool whole_byte(unsigned run_class) {
    return length_of(run_class) == 8;
}
constexpr unsigned whole_zero = 7, whole_one = 15;

constexpr Byte first_run(Byte byte) {
    const bool one = (byte & 0x80) != 0;
    const Byte zeros = one ? static_cast<Byte>(~byte) : byte;
    return static_cast<Byte>(8 * one + std::countl_zero(zeros) - 1);
}
constexpr Byte last_run(Byte byte) {
    const bool one = (byte & 1) != 0;
    const Byte zeros = one ? static_cast<Byte>(~byte) : byte;
    return static_cast<Byte>(8 * one + std::countr_zero(zeros) - 1);
}

constexpr std::size_t run_slot(unsigned bit, unsigned length) {
    return 6 * bit + std::min(length, 6U) - 1;
}
using RunCounts = std::array<std::uint16_t, 16>; // 12 slots, and room that makes it two vectors

// The runs inside a byte that touch neither end of it.
constexpr RunCounts inner_runs(Byte byte) {
    RunCounts counts{};
    const unsigned first = first_run(byte), last = last_run(byte);
    if (whole_byte(first)) {
        return counts;
    }
    const unsigned end = 8 - length_of(last); // in bits from the most significant
    unsigned at = length_of(first);
    while (at < end) {
        const unsigned bit = (byte >> (7 - at)) & 1U;
        unsigned length = 0;
        while (at < end && ((byte >> (7 - at)) & 1U) == bit) {
            ++length;
            ++at;
        }
        ++counts[run_slot(bit, length)];
    }
    return counts;
}

template <class Entry, class Make>
constexpr std::array<Entry, 256> for_each_byte(Make make) {
    std::array<Entry, 256> table{};
    for (unsigned byte = 0; byte < 256; ++byte) {
        table[byte] = make(static_cast<Byte>(byte));
    }
    return table;
}
constexpr auto first_runs = for_each_byte<Byte>(first_run);
constexpr auto last_runs =
    for_each_byte<Byte>([](Byte b) { return static_cast<Byte>(classes * last_run(b)); });
constexpr auto inner_run_counts = for_each_byte<RunCounts>(inner_runs);

bool has_long_run(std::span<const Byte, block_size> block) {
    unsigned bit = 2, length = 0; // the run that the last byte ended with
    for (const Byte byte : block) {
        const unsigned first = first_run(byte), last = last_run(byte);
        const unsigned joined = bit == bit_of(first) ? length + length_of(first) : length_of(first);
        if (joined >= long_run) {
            return true;
        }
        bit = bit_of(last);
        length = whole_byte(last) ? joined : length_of(last);
    }
    return false;
}

std::uint32_t word_at(const Byte* from) {
    std::uint32_t word; // only compared with its like: the order of its bytes does not matter
    std::memcpy(&word, from, sizeof word);
    return word;
}

bool has_equal_neighbours(std::span<const Byte, block_size> block) {
    static_assert((block_size - 4) % sizeof(Words4) == 0);
    Words4 equal{};
    for (std::size_t i = 0; i < block_size - 4; i += sizeof(Words4)) {
        equal |= static_cast<Words4>(load<Words4>(block.data() + i) == load<Words4>(block.data() + i + 4));
    }
    return any(equal);
}

} // namespace

void Fips140_2::forget() {
    sodium_memzero(bytes_.data(), sizeof bytes_);
    sodium_memzero(joints_.data(), sizeof joints_);
}

void Fips140_2::count(std::span<const Byte, block_size> block) {
    ++bytes_[block[0]];
    unsigned before = last_runs[block[0]];
    for (std::size_t i = 1; i < block_size; ++i) {
        const Byte byte = block[i];
        ++bytes_[byte];
        ++joints_[before + first_runs[byte]];
        before = last_runs[byte];
    }
}

// A run that crosses or touches the joint of two bytes is counted once, where it ends: at the joint when the
// bit changes there, or inside the second byte. A run that covers a whole byte is longer than 6 whatever came
// before it, so that a joint alone tells the length class of the run.
Fips140_2::Figures Fips140_2::figures(Byte first, Byte last) const {
    RunCounts runs{};
    std::array<unsigned, 16> nibbles{};
    for (std::size_t byte = 0; byte < 256; ++byte) {
        const std::uint16_t times = bytes_[byte];
        nibbles[byte >> 4] += times;
        nibbles[byte & 15] += times;
        for (std::size_t slot = 0; slot < runs.size(); ++slot) {
            runs[slot] = static_cast<std::uint16_t>(runs[slot] + times * inner_run_counts[byte][slot]);
        }
    }
    const auto add = [&runs](unsigned bit, unsigned length, unsigned times) {
        std::uint16_t& slot = runs[run_slot(bit, length)];
        slot = static_cast<std::uint16_t>(slot + times);
    };
    for (unsigned a = 0; a < classes; ++a) {
        for (unsigned b = 0; b < classes; ++b) {
            const unsigned times = joints_[classes * a + b];
            if (bit_of(a) != bit_of(b)) {
                add(bit_of(a), length_of(a), times);
                add(bit_of(b), length_of(b), whole_byte(b) ? 0 : times);
            } else {
                add(bit_of(a), length_of(a) + length_of(b), whole_byte(b) ? 0 : times);
            }
        }
    }
    const unsigned start = first_run(first), end = last_run(last);
    add(bit_of(start), length_of(start), whole_byte(start) ? 0 : 1);
    add(bit_of(end), length_of(end), 1);

    Figures result;
    for (unsigned nibble = 0; nibble < 16; ++nibble) {
        result.ones += nibbles[nibble] * static_cast<unsigned>(std::popcount(nibble));
        result.poker_squares += nibbles[nibble] * nibbles[nibble];
    }
    for (std::size_t slot = 0; slot < 12; ++slot) {
        result.runs[slot / 6][slot % 6] = runs[slot];
    }
    return result;
}

Fips140_2Verdict Fips140_2::judge(const Figures& figures) {
    Fips140_2Verdict verdict;
    verdict.monobit = figures.ones < min_ones || figures.ones > max_ones;
    verdict.poker = figures.poker_squares < min_poker_squares || figures.poker_squares > max_poker_squares;
    for (const auto& of_one_bit : figures.runs) {
        for (std::size_t i = 0; i < run_limits.size(); ++i) {
            verdict.runs |= of_one_bit[i] < run_limits[i].min || of_one_bit[i] > run_limits[i].max;
        }
    }
    return verdict;
}

Fips140_2Verdict Fips140_2::test(std::span<const Byte, block_size> block) {
    count(block);
    Fips140_2Verdict verdict = judge(figures(block.front(), block.back()));
    // A run of 26 bits covers two whole bytes beside each other.
    const bool perhaps_long =
        joints_[classes * whole_zero + whole_zero] != 0 || joints_[classes * whole_one + whole_one] != 0;
    verdict.long_run = perhaps_long && has_long_run(block);
    verdict.continuous =
        (last_word_known_ && word_at(block.data()) == last_word_) || has_equal_neighbours(block);
    last_word_ = word_at(block.data() + block_size - 4);
    last_word_known_ = true;
    forget();
    return verdict;
}

} // namespace ekey::health
