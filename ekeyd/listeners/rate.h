// How many bytes a client may have, over time: a token bucket, kept as the one moment at which it is full
// again (the generic cell rate algorithm, ITU-T I.371), so that it takes eight bytes and no timer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "protocol/bytes.h"

namespace ekey {

struct Rate {
    // A byte a nanosecond is more than this daemon serves; the products below stay within 64 bits.
    static constexpr std::uint64_t highest = 1'000'000'000;

    std::uint64_t bytes_per_s = 0; // 0: no limit. At most `highest`
    std::uint64_t burst = 0;       // bytes that may come at once after a rest; at most `highest`

    bool limited() const { return bytes_per_s > 0; }
    // How long so many bytes (at most `highest`) take, rounded up.
    Duration time(std::uint64_t bytes) const {
        return std::chrono::nanoseconds((bytes * second + bytes_per_s - 1) / bytes_per_s);
    }

    static constexpr std::uint64_t second = 1'000'000'000; // in nanoseconds
};

// Full at first. All times are of one monotonic clock that never is at its own zero.
class Bucket {
  public:
    // When it will hold `bytes`, if nothing is taken meanwhile; they are not more than the burst.
    Time ready_at(const Rate& rate, std::uint64_t bytes) const {
        return full_at_ - rate.time(rate.burst - std::min(bytes, rate.burst));
    }
    bool full(Time now) const { return full_at_ <= now; }
    // Bytes that it holds, rounded down.
    std::uint64_t level(const Rate& rate, Time now) const {
        if (full(now)) {
            return rate.burst;
        }
        const Duration left = rate.time(rate.burst) - (full_at_ - now);
        if (left <= Duration::zero()) {
            return 0;
        }
        const auto ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(left).count());
        return std::min(rate.burst, ns / Rate::second * rate.bytes_per_s +
                                        ns % Rate::second * rate.bytes_per_s / Rate::second);
    }
    void take(const Rate& rate, std::uint64_t bytes, Time now) {
        full_at_ = std::max(full_at_, now) + rate.time(bytes);
    }

  private:
    Time full_at_{};
};

} // namespace ekey
