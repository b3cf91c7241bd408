// Samples for tests: the same ones in each run.
#pragma once

#include <vector>

#include <sodium/randombytes.h>

#include "protocol/bytes.h"

namespace ekey::test {

// What a perfect source would give: a stream cipher's output, another one for each seed.
inline std::vector<Byte> uniform(std::size_t size, unsigned seed) {
    Byte key[randombytes_SEEDBYTES]{};
    std::memcpy(key, &seed, sizeof seed);
    std::vector<Byte> bytes(size);
    randombytes_buf_deterministic(bytes.data(), bytes.size(), key);
    return bytes;
}

// Independent bits that are one with probability `ones_in_65536` / 65536.
inline std::vector<Byte> biased(std::size_t size, unsigned ones_in_65536, unsigned seed) {
    const std::vector<Byte> random = uniform(16 * size, seed);
    std::vector<Byte> bytes(size);
    for (std::size_t i = 0; i < 8 * size; ++i) {
        const unsigned draw = random[2 * i] * 256U + random[2 * i + 1];
        bytes[i / 8] = static_cast<Byte>(2 * bytes[i / 8] + (draw < ones_in_65536));
    }
    return bytes;
}

} // namespace ekey::test
