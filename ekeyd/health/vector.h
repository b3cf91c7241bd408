// Sixteen bytes at once, by the vector extension that GCC and clang share: SSE2 or NEON where there is one,
// plain words elsewhere. The results are the same everywhere.
#pragma once

#include <cstdint>
#include <cstring>

#include "protocol/bytes.h"

namespace ekey::health {

using Bytes16 [[gnu::vector_size(16)]] = std::uint8_t;
using Counts8 [[gnu::vector_size(16)]] = std::uint16_t;
using Words4 [[gnu::vector_size(16)]] = std::uint32_t;

template <class Vector, class Element>
inline Vector load(const Element* from) {
    static_assert(sizeof(Vector) == 16);
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

inline void store(std::uint16_t* to, const Counts8& v) {
    std::memcpy(to, &v, sizeof v);
}

// The sum of all eight, which must be below 65536.
inline unsigned sum(const Counts8& v) {
    std::uint64_t half[2];
    std::memcpy(half, &v, sizeof half);
    return static_cast<unsigned>(((half[0] + half[1]) * 0x0001000100010001) >> 48);
}

// Whether any bit is set.
template <class Vector>
inline bool any(const Vector& v) {
    static_assert(sizeof(Vector) == 16);
    std::uint64_t half[2];
    std::memcpy(half, &v, sizeof half);
    return (half[0] | half[1]) != 0;
}

} // namespace ekey::health
