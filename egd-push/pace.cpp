#include "egd-push/pace.h"

#include <algorithm>

#include <sodium/randombytes.h>

namespace ekey {

Duration jittered(Duration whole, double low, double high) {
    const double random = static_cast<double>(randombytes_random()) / 4294967295.0;
    return std::chrono::duration_cast<Duration>(whole * (low + (high - low) * random));
}

Time Schedule::after_push(Time asked) {
    span_ = first_span;
    return asked + jittered(interval_, 0.75, 1.0);
}

Time Schedule::after_failure(Time now) {
    const Duration wait = shortest_wait + jittered(span_ - shortest_wait, 0, 1);
    span_ = std::min(span_ * 2, last_span);
    return now + wait;
}

} // namespace ekey
