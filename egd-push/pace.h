// When to ask again. Random, so that a thousand guests that start at once do not stay in step.
#pragma once

#include "protocol/bytes.h"

namespace ekey {

// A random time in [low, high] of the whole.
Duration jittered(Duration whole, double low, double high);

// Never later than the interval itself: who says 60 s has a push in every 60 s.
inline Duration next_push(Duration interval) {
    return jittered(interval, 0.75, 1.0);
}

// Doubles from a second to a minute.
class BackOff {
  public:
    static constexpr Duration shortest = std::chrono::seconds(1);
    static constexpr Duration longest = std::chrono::seconds(60);

    Duration next(); // what to wait now: half to all of a span that doubles with each call
    void reset() { span_ = shortest; }

  private:
    Duration span_ = shortest;
};

} // namespace ekey
