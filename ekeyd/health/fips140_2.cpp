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
constexpr std::uint32_t classes = 16;
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

void add(RunCounts& runs, unsigned bit, unsigned length, unsigned times) {
    std::uint16_t& slot = runs[run_slot(bit, length)];
    slot = static_cast<std::uint16_t>(slot + times);
}

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
consteval std::array<Entry, 256> for_each_byte(Make make) {
    std::array<Entry, 256> table{};
    for (unsigned byte = 0; byte < 256; ++byte) {
        table[byte] = make(static_cast<Byte>(byte));
    }
    return table;
}
// Their sum is the index of a joint, 0..255. In whole words, so that the sum needs no conversion.
constexpr auto first_runs = for_each_byte<std::uint32_t>([](Byte b) { return first_run(b); });
constexpr auto last_runs = for_each_byte<std::uint32_t>([](Byte b) { return classes * last_run(b); });
constexpr auto inner_run_counts = for_each_byte<RunCounts>(inner_runs);

// Looks at whole bytes of one bit only: a run of 26 covers two of them.
bool has_long_run(std::span<const Byte, block_size> block) {
    for (std::size_t begin = 0; begin < block_size;) {
        const Byte byte = block[begin];
        std::size_t end = begin + 1;
        if (byte == 0x00 || byte == 0xff) {
            while (end < block_size && block[end] == byte) {
                ++end;
            }
            std::size_t length = 8 * (end - begin);
            if (begin > 0 && bit_of(last_run(block[begin - 1])) == bit_of(first_run(byte))) {
                length += length_of(last_run(block[begin - 1]));
            }
            if (end < block_size && bit_of(first_run(block[end])) == bit_of(first_run(byte))) {
                length += length_of(first_run(block[end]));
            }
            if (length >= long_run) {
                return true;
            }
        }
        begin = end;
    }
    return false;
}

std::uint32_t word_at(const Byte* from) {
    std::uint32_t word = 0; // only compared with its like: the order of its bytes does not matter
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
    std::uint16_t* const bytes = bytes_.data();
    std::uint16_t* const joints = joints_.data();
    ++bytes[block[0]];
    std::uint32_t before = last_runs[block[0]];
    static_assert((block_size - 1) % 17 == 0);
#pragma GCC unroll 17
    for (std::size_t i = 1; i < block_size; ++i) {
        const Byte byte = block[i];
        ++bytes[byte];
        ++joints[before + first_runs[byte]];
        before = last_runs[byte];
    }
}

// Nibbles, and the runs inside bytes.
void Fips140_2::add_bytes(std::array<unsigned, 16>& nibbles, RunCounts& runs) const {
    std::array<Counts8, 2> low_nibbles{}, inner{};
    for (std::size_t high = 0; high < 16; ++high) {
        const std::uint16_t* times = &bytes_[16 * high];
        const std::array<Counts8, 2> row{load<Counts8>(times), load<Counts8>(times + 8)};
        low_nibbles[0] += row[0];
        low_nibbles[1] += row[1];
        nibbles[high] += sum(row[0] + row[1]);
        for (std::size_t low = 0; low < 16; ++low) {
            const RunCounts& of_byte = inner_run_counts[16 * high + low];
            inner[0] += times[low] * load<Counts8>(&of_byte[0]);
            inner[1] += times[low] * load<Counts8>(&of_byte[8]);
        }
    }
    for (std::size_t i = 0; i < 16; ++i) {
        nibbles[i] += low_nibbles[i / 8][i % 8];
        runs[i] = static_cast<std::uint16_t>(runs[i] + inner[i / 8][i % 8]);
    }
}

// A run that crosses or touches the joint of two bytes is counted once, where it ends: at the joint when the
// bit changes there, or inside the second byte. A run that covers a whole byte is longer than 6 whatever came
// before it, so that a joint alone tells the length class of the run. The run at a joint before a whole byte
// of the same bit has not ended there.
void Fips140_2::add_joints(RunCounts& runs) const {
    constexpr Counts8 no_whole_byte{0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0};
    for (unsigned bit = 0; bit < 2; ++bit) {
        std::array<std::uint16_t, 16> joined{}; // ended inside the second byte, by length - 1
        Counts8 changed{}; // of the other bit, ended inside the second byte, by length - 1
        for (unsigned length = 1; length <= 8; ++length) {
            const std::uint16_t* row = joints_.data() + std::size_t{classes} * (8 * bit + length - 1);
            const Counts8 other_bit = load<Counts8>(row + (bit == 0 ? 8 : 0));
            changed += other_bit & no_whole_byte;
            add(runs, bit, length, sum(other_bit));
            const Counts8 same_bit = load<Counts8>(row + (bit == 0 ? 0 : 8));
            store(&joined[length], load<Counts8>(&joined[length]) + (same_bit & no_whole_byte));
        }
        for (unsigned length = 1; length <= 16; ++length) {
            add(runs, bit, length, joined[length - 1]);
        }
        for (unsigned length = 1; length <= 8; ++length) {
            add(runs, 1 - bit, length, changed[length - 1]);
        }
    }
}

Fips140_2::Figures Fips140_2::figures(Byte first, Byte last) const {
    RunCounts runs{};
    std::array<unsigned, 16> nibbles{};
    add_bytes(nibbles, runs);
    add_joints(runs);
    const unsigned start = first_run(first), end = last_run(last);
    add(runs, bit_of(start), length_of(start), whole_byte(start) ? 0 : 1);
    add(runs, bit_of(end), length_of(end), 1);

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

Fips140_2::Figures Fips140_2::measure(std::span<const Byte, block_size> block) {
    count(block);
    const Figures result = figures(block.front(), block.back());
    forget();
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
