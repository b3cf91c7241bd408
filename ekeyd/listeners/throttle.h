// What happens to a thousand clients is said once, with their number.
#pragma once

#include <cstdint>
#include <utility>

#include "protocol/bytes.h"

namespace ekey {

class Throttle {
  public:
    // Counts an event. Returns 0 when it is not to be said now, else how many there were since it was last
    // said.
    std::uint64_t count(Time now) {
        ++unsaid_;
        if (now < next_) {
            return 0;
        }
        next_ = now + std::chrono::minutes(1);
        return std::exchange(unsaid_, 0);
    }

  private:
    Time next_{};
    std::uint64_t unsaid_ = 0;
};

} // namespace ekey
