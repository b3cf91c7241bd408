// The statistical tests of FIPS 140-2 with change notice 1 (2001-10-10), on blocks of 20,000 bits, and its
// continuous test.
//
// Holds figures of the block that it tests: keep it where the block is kept.
#pragma once

#include <array>
#include <cstdint>

#include "protocol/bytes.h"

namespace ekey::health {

inline constexpr std::size_t block_size = 2500; // bytes; bits are taken most significant first

// Which tests a block failed.
struct Fips140_2Verdict {
    bool monobit = false, poker = false, runs = false, long_run = false, continuous = false;
    bool passed() const { return !(monobit || poker || runs || long_run || continuous); }
    bool operator==(const Fips140_2Verdict&) const = default;
};

class Fips140_2 {
  public:
    Fips140_2() = default;
    ~Fips140_2() { sodium_memzero(&last_word_, sizeof last_word_); }

    // Tests one block. The continuous test also compares its first word with the last word of the block
    // before.
    Fips140_2Verdict test(std::span<const Byte, block_size> block);

    // Forgets the block before: the next block's first word is only compared with its second.
    void restart() { last_word_known_ = false; }

    // What the limits are applied to. Runs: [bit][length - 1], the last entry for six and more.
    struct Figures {
        unsigned ones = 0;
        std::uint32_t poker_squares = 0; // the sum of the squares of the counts of the 16 nibbles
        std::array<std::array<unsigned, 6>, 2> runs{};
    };
    Figures measure(std::span<const Byte, block_size> block);
    static Fips140_2Verdict judge(const Figures& figures); // monobit, poker and runs

  private:
    using RunCounts = std::array<std::uint16_t, 16>; // [6 * bit + length - 1]; 12 used, two vectors

    void count(std::span<const Byte, block_size> block);
    Figures figures(Byte first, Byte last) const;
    void add_bytes(std::array<unsigned, 16>& nibbles, RunCounts& runs) const;
    void add_joints(RunCounts& runs) const;
    void forget();

    // All figures follow from how often each byte came, and how often each pair of a byte's last run and the
    // next byte's first run came (classes of fips140_2.cpp).
    std::array<std::uint16_t, 256> bytes_{};
    std::array<std::uint16_t, 256> joints_{};
    std::uint32_t last_word_ = 0;
    bool last_word_known_ = false;
};

} // namespace ekey::health
