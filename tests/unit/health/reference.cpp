#include "tests/unit/health/reference.h"

#include <algorithm>
#include <vector>

namespace ekey::test {

ReferenceFips reference_fips(std::span<const Byte, health::block_size> block,
                             std::optional<std::array<Byte, 4>> before) {
    std::vector<unsigned> bits;
    for (const Byte byte : block) {
        for (int i = 7; i >= 0; --i) {
            bits.push_back((byte >> i) & 1U);
        }
    }
    ReferenceFips result;

    // Monobit: the number of ones.
    for (const unsigned bit : bits) {
        result.ones += bit == 1;
    }

    // Poker: 5,000 contiguous 4-bit segments; X = 16/5000 * sum of f(i)^2 - 5000.
    std::array<double, 16> f{};
    for (std::size_t i = 0; i < 20000; i += 4) {
        f[8 * bits[i] + 4 * bits[i + 1] + 2 * bits[i + 2] + bits[i + 3]] += 1;
    }
    for (const double times : f) {
        result.poker_squares += times * times;
    }
    result.poker = result.poker_squares * 16 / 5000 - 5000;

    // Runs: maximal sequences of equal bits, of ones and of zeros; the long run test looks at the longest.
    for (std::size_t i = 0; i < 20000;) {
        std::size_t end = i;
        while (end < 20000 && bits[end] == bits[i]) {
            ++end;
        }
        const auto length = static_cast<unsigned>(end - i);
        ++result.runs[bits[i]][std::min(length, 6U) - 1];
        result.longest_run = std::max(result.longest_run, length);
        i = end;
    }

    // Continuous: each 32-bit word against the one before it.
    std::vector<Byte> bytes;
    if (before) {
        bytes.assign(before->begin(), before->end());
    }
    bytes.insert(bytes.end(), block.begin(), block.end());
    for (std::size_t i = 4; i < bytes.size(); i += 4) {
        result.equal_words |= std::equal(&bytes[i], &bytes[i] + 4, &bytes[i - 4]);
    }
    return result;
}

health::Fips140_2Verdict ReferenceFips::verdict() const {
    health::Fips140_2Verdict verdict;
    verdict.monobit = !(9725 < ones && ones < 10275);
    verdict.poker = !(2.16 < poker && poker < 46.17);
    for (const auto& counts : runs) {
        verdict.runs |= counts[0] < 2315 || counts[0] > 2685;
        verdict.runs |= counts[1] < 1114 || counts[1] > 1386;
        verdict.runs |= counts[2] < 527 || counts[2] > 723;
        verdict.runs |= counts[3] < 240 || counts[3] > 384;
        verdict.runs |= counts[4] < 103 || counts[4] > 209;
        verdict.runs |= counts[5] < 103 || counts[5] > 209;
    }
    verdict.long_run = longest_run >= 26;
    verdict.continuous = equal_words;
    return verdict;
}

} // namespace ekey::test
