#include "egd-push/pace.h"

#include <algorithm>

#include <sodium/randombytes.h>

namespace ekey {

Duration jittered(Duration whole, double low, double high) {
    const double random = static_cast<double>(randombytes_random()) / 4294967295.0;
    return std::chrono::duration_cast<Duration>(whole * (low + (high - low) * random));
}

Duration BackOff::next() {
    const Duration wait = jittered(span_, 0.5, 1.0);
    span_ = std::min(span_ * 2, longest);
    return wait;
}

} // namespace ekey
