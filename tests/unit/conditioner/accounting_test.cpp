// The entropy of the conditioner's output by the formula of NIST SP 800-90B 3.1.5.1.2.
#include <algorithm>
#include <cmath>
#include <numbers>

#include <doctest/doctest.h>

#include "ekeyd/conditioner/conditioner.h"

namespace {

// n - h_out in bits, for n = min(n_out, n_w) bits of output from n_in bits of input that hold h_in bits of
// min-entropy:
//   P_high = 2^-h_in, P_low = (1 - P_high) / (2^n_in - 1)
//   psi = 2^(n_in-n) P_low + P_high, omega = (2^(n_in-n) + sqrt(2 n 2^(n_in-n) ln 2)) P_low
//   h_out = -log2 max(psi, omega)
// Both are taken times 2^n and less 1, so that the small difference to full entropy is not lost beside it.
long double deficit(long double n, long double n_in, long double h_in) {
    const long double p_high = std::exp2(-h_in);
    const long double few = std::exp2(-n_in);
    const long double low = (few - p_high) / (1 - few); // 2^n_in P_low - 1
    const long double psi = low + std::exp2(n - h_in);
    const long double spread = std::sqrt(2 * n * std::numbers::ln2_v<long double> * std::exp2(n - n_in));
    const long double omega = low + (1 + low) * spread;
    return std::log1p(std::max(psi, omega)) / std::numbers::ln2_v<long double>;
}

constexpr long double n_out = 8 * ekey::Conditioner::output_size;
constexpr long double input_bits = ekey::Conditioner::input_bits;

} // namespace

TEST_CASE("SP 800-90B 3.1.5: known figures for an output of 256 bits") {
    CHECK(static_cast<double>(deficit(256, 4096, 320)) == doctest::Approx(8e-20).epsilon(0.03));
    CHECK(static_cast<double>(256 - deficit(256, 4096, 256)) == doctest::Approx(255.0).epsilon(1e-9));
    CHECK(deficit(256, 4096, 128) > 127.9L); // half the entropy goes in, half comes out
}

// Full entropy: at least (1 - 2^-32) n bits in n (SP 800-90C).
TEST_CASE("promise 2: the output is full entropy at every claim, from 8 bits a byte to a thousandth") {
    const long double allowed = n_out * std::exp2(-32.0L); // 1.2e-7 bit
    for (const long double claim : {8.0L, 7.9L, 7.5L, 7.0L, 6.0L, 4.0L, 1.0L, 0.1L, 0.001L}) {
        CAPTURE(static_cast<double>(claim));
        const long double bytes = std::ceil(input_bits / claim);
        CHECK(deficit(n_out, 8 * bytes, input_bits) < allowed);
    }
    // At 7 bits a byte: 83 bytes.
    CHECK(deficit(n_out, 8 * 83, input_bits) < 8e-20L);
    // At 8 bits a byte n_in is 576, and what counts is how unevenly a random function fills its outputs.
    CHECK(static_cast<double>(deficit(n_out, 576, 576)) == doctest::Approx(8.95e-9).epsilon(0.01));
    // Without the 64 bits more it would not be.
    CHECK(deficit(n_out, 8 * 74, 512) > 0.9L);
}
