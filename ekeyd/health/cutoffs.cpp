#include "ekeyd/health/cutoffs.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

namespace ekey::health {

double tested_min_entropy(double claimed) {
    return claimed >= min_entropy_floor ? std::min(claimed, 8.0) : min_entropy_floor;
}

unsigned repetition_cutoff(double min_entropy, unsigned alpha_bits) {
    assert(min_entropy > 0);
    return 1 + static_cast<unsigned>(std::ceil(static_cast<long double>(alpha_bits) / min_entropy));
}

// CRITBINOM(W, p, 1 - alpha) is the smallest k with P(X <= k) >= 1 - alpha, which is P(X > k) <= alpha. The
// upper tail is summed from its small end, so that nothing is lost beside 1.
unsigned proportion_cutoff(unsigned window, double min_entropy, unsigned alpha_bits) {
    assert(min_entropy > 0);
    const long double n = window;
    const long double log_p = -static_cast<long double>(min_entropy) * std::numbers::ln2_v<long double>;
    const long double log_q = std::log(-std::expm1(log_p));
    const long double alpha = std::exp2(-static_cast<long double>(alpha_bits));
    long double tail = 0;
    for (unsigned k = window; k > 0; --k) {
        const long double successes = k;
        const long double log_choose =
            std::lgamma(n + 1) - std::lgamma(successes + 1) - std::lgamma(n - successes + 1);
        tail += std::exp(log_choose + successes * log_p + (n - successes) * log_q);
        if (tail > alpha) {
            return 1 + k;
        }
    }
    return 1;
}

} // namespace ekey::health
