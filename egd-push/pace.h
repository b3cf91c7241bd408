// When to ask again. Random, so that a thousand guests that start at once do not stay in step.
#pragma once

#include "protocol/bytes.h"

namespace ekey {

// A random time in [low, high] of the whole.
Duration jittered(Duration whole, double low, double high);

// When an upstream is asked. The first time is at once, since a guest needs its first push before it makes
// keys; all that follows is spread.
class Schedule {
  public:
    // After a failure: a random time up to a span that doubles from the first to the last of these.
    static constexpr Duration first_span = std::chrono::seconds(1), last_span = std::chrono::seconds(60);
    static constexpr Duration shortest_wait = std::chrono::milliseconds(100);

    explicit Schedule(Duration interval) : interval_(interval) {}

    // After a push that was asked for at `asked`: within three quarters of the interval to all of it. Never
    // later: who says 60 s has a push in every 60 s.
    Time after_push(Time asked);
    // "Full jitter": any moment of the span is as likely, so that those who failed together come back evenly
    // spread over it, and not in its second half alone.
    Time after_failure(Time now);
    void succeeded() { span_ = first_span; } // the next failure is the first again

  private:
    Duration interval_, span_ = first_span;
};

} // namespace ekey
