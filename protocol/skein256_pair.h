// Two blocks of Threefish-256 at once, for two states that do not depend on each other. Part of skein256.cpp.
#pragma once

#include <array>
#include <cstdint>

#include "protocol/bytes.h"

namespace ekey::detail {

// Key schedule parity and rotations of the October 2008 submission (version 1.3 has others).
inline constexpr std::uint64_t key_parity = 0x5555555555555555;
inline constexpr int rotations[8][2] = {{5, 56},  {36, 28}, {13, 46}, {58, 44},
                                        {26, 20}, {53, 35}, {11, 42}, {59, 50}};

struct SkeinBlock {
    std::array<std::uint64_t, 4>* chain; // in and out
    std::uint64_t tweak_low, tweak_high;
    const Byte* block; // 32 bytes
};

// Whether this processor can. If not, ubi_pair must not be called.
bool can_pair();
void ubi_pair(const SkeinBlock& a, const SkeinBlock& b);

} // namespace ekey::detail
