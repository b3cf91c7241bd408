// The tests of FIPS 140-2 (change notice 1) as the text says them, one bit at a time: slow, and plain to
// check against the document. What the fast ones are compared with.
#pragma once

#include <array>
#include <optional>

#include "ekeyd/health/fips140_2.h"

namespace ekey::test {

struct ReferenceFips {
    unsigned ones = 0;
    double poker_squares = 0, poker = 0;           // the sum of f(i)^2, and X
    std::array<std::array<unsigned, 6>, 2> runs{}; // [bit][length - 1], the last for six and more
    unsigned longest_run = 0;
    bool equal_words = false;

    health::Fips140_2Verdict verdict() const;
};

// `before`: the last 4 bytes of the block before, for the continuous test.
ReferenceFips reference_fips(std::span<const Byte, health::block_size> block,
                             std::optional<std::array<Byte, 4>> before);

} // namespace ekey::test
