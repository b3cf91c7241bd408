#include "protocol/skein256_pair.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

namespace ekey::detail {

namespace {

using Vector = __m256i;
using Wide = std::uint64_t[4];

// Both MIX functions of a round side by side, for both blocks.
struct Shifts {
    alignas(32) Wide left[8], right[8];
};
constexpr Shifts shifts = [] {
    Shifts table{};
    for (int round = 0; round < 8; ++round)
        for (int lane = 0; lane < 4; ++lane) {
            table.left[round][lane] = static_cast<std::uint64_t>(rotations[round][lane % 2]);
            table.right[round][lane] = static_cast<std::uint64_t>(64 - rotations[round][lane % 2]);
        }
    return table;
}();

[[gnu::target("avx2"), gnu::always_inline]] inline Vector lanes(std::uint64_t a0, std::uint64_t a1,
                                                                std::uint64_t b0, std::uint64_t b1) {
    return _mm256_set_epi64x(static_cast<long long>(b1), static_cast<long long>(b0),
                             static_cast<long long>(a1), static_cast<long long>(a0));
}

[[gnu::target("avx2"), gnu::always_inline]] inline Vector load(const Wide& words) {
    return _mm256_load_si256(reinterpret_cast<const Vector*>(words));
}

} // namespace

bool can_pair() {
    return __builtin_cpu_supports("avx2") != 0;
}

// Lanes: words 0 and 2 of a, then of b, in `even`; words 1 and 3 in `odd`. The permutation 0,3,2,1 swaps the
// two odd words of each.
[[gnu::target("avx2")]] void ubi_pair(const SkeinBlock& a, const SkeinBlock& b) {
    const std::uint64_t* const ka = a.chain->data();
    const std::uint64_t* const kb = b.chain->data();
    const std::uint64_t a4 = key_parity ^ ka[0] ^ ka[1] ^ ka[2] ^ ka[3];
    const std::uint64_t b4 = key_parity ^ kb[0] ^ kb[1] ^ kb[2] ^ kb[3];
    const std::uint64_t a_tweak = a.tweak_low ^ a.tweak_high, b_tweak = b.tweak_low ^ b.tweak_high;
    // keys[i]: key words i and i+2. Even words take keys[s], odd words keys[s+1].
    const Vector keys[5] = {lanes(ka[0], ka[2], kb[0], kb[2]), lanes(ka[1], ka[3], kb[1], kb[3]),
                            lanes(ka[2], a4, kb[2], b4), lanes(ka[3], ka[0], kb[3], kb[0]),
                            lanes(a4, ka[1], b4, kb[1])};
    const Vector tweaks_even[3] = {lanes(0, a.tweak_high, 0, b.tweak_high), lanes(0, a_tweak, 0, b_tweak),
                                   lanes(0, a.tweak_low, 0, b.tweak_low)};
    const Vector tweaks_odd[3] = {lanes(a.tweak_low, 0, b.tweak_low, 0),
                                  lanes(a.tweak_high, 0, b.tweak_high, 0), lanes(a_tweak, 0, b_tweak, 0)};

    std::uint64_t pa[4], pb[4]; // little-endian, as the processor is
    __builtin_memcpy(pa, a.block, sizeof pa);
    __builtin_memcpy(pb, b.block, sizeof pb);
    const Vector plain_even = lanes(pa[0], pa[2], pb[0], pb[2]),
                 plain_odd = lanes(pa[1], pa[3], pb[1], pb[3]);
    Vector even = _mm256_add_epi64(plain_even, _mm256_add_epi64(keys[0], tweaks_even[0]));
    Vector odd = _mm256_add_epi64(plain_odd, _mm256_add_epi64(keys[1], tweaks_odd[0]));

#pragma GCC unroll 18
    for (int subkey = 1; subkey <= 18; ++subkey) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            const int round = (4 * (subkey - 1) + i) % 8;
            even = _mm256_add_epi64(even, odd);
            odd = _mm256_or_si256(_mm256_sllv_epi64(odd, load(shifts.left[round])),
                                  _mm256_srlv_epi64(odd, load(shifts.right[round])));
            odd = _mm256_shuffle_epi32(_mm256_xor_si256(odd, even), 0x4e);
        }
        even = _mm256_add_epi64(_mm256_add_epi64(even, keys[subkey % 5]), tweaks_even[subkey % 3]);
        odd = _mm256_add_epi64(_mm256_add_epi64(odd, keys[(subkey + 1) % 5]), tweaks_odd[subkey % 3]);
        odd = _mm256_add_epi64(odd, _mm256_set_epi64x(subkey, 0, subkey, 0));
    }

    even = _mm256_xor_si256(even, plain_even);
    odd = _mm256_xor_si256(odd, plain_odd);
    const Vector low = _mm256_unpacklo_epi64(even, odd), high = _mm256_unpackhi_epi64(even, odd);
    _mm256_storeu_si256(reinterpret_cast<Vector*>(a.chain->data()),
                        _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(reinterpret_cast<Vector*>(b.chain->data()),
                        _mm256_permute2x128_si256(low, high, 0x31));
}

} // namespace ekey::detail

#else

namespace ekey::detail {

bool can_pair() {
    return false;
}

void ubi_pair(const SkeinBlock&, const SkeinBlock&) {}

} // namespace ekey::detail

#endif
