// How long blocking reads have waited, as a histogram of fixed bounds.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <numeric>

#include "protocol/bytes.h"

namespace ekey {

struct WaitHistogram {
    // Upper bounds in seconds. From a supply that is there at once, past the time in which an Entropy Key
    // gives a tested block (0.7 s) and programs lose patience (seconds), to a guest whose host has lost its
    // key.
    static constexpr std::array bounds{0.001, 0.005, 0.02, 0.1,  0.5,   1.0,
                                       2.0,   5.0,   15.0, 60.0, 300.0, 3600.0};

    std::array<std::uint64_t, bounds.size() + 1> counts{}; // of each span; the last is above all bounds
    Duration sum{};

    void observe(Duration waited) {
        const double seconds = std::chrono::duration<double>(waited).count();
        const auto bound = std::lower_bound(bounds.begin(), bounds.end(), seconds);
        ++counts[static_cast<std::size_t>(bound - bounds.begin())];
        sum += waited;
    }
    std::uint64_t total() const { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); }
    // The bound, in seconds, below which nine of ten waits were; infinite when it is above all bounds.
    double nine_of_ten() const {
        const std::uint64_t all = total();
        std::uint64_t so_far = 0;
        for (std::size_t i = 0; i < bounds.size(); ++i) {
            so_far += counts[i];
            if (so_far * 10 >= all * 9) {
                return bounds[i];
            }
        }
        return std::numeric_limits<double>::infinity();
    }
    WaitHistogram& operator+=(const WaitHistogram& more) {
        for (std::size_t i = 0; i < counts.size(); ++i) {
            counts[i] += more.counts[i];
        }
        sum += more.sum;
        return *this;
    }
};

} // namespace ekey
