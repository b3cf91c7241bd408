// Judges a source by how often its blocks fail FIPS 140-2. A perfect source fails about 8 blocks in 10,000,
// so that one failure says nothing beyond the block itself.
//
// Rule: failed with 5 of the last 128 blocks, or 3 in a row. False alarms of a perfect source, whose blocks
// fail independently with p = 8e-4 (checked by tests/unit/health/fips_rate_test.cpp):
//   5 of 128:    at each block at most p * P(at least 4 of the 127 before) = 3.1e-9
//   3 in a row:  at each block at most p^3                                 = 5.1e-10
// Together 3.6e-9 a block. At 3 kB/s, 1.2 blocks a second, that is one false alarm in some 7 years. A source
// whose blocks fail at 10 % is found within a minute on average at that speed.
#pragma once

#include <bitset>
#include <cstddef>

namespace ekey::health {

class FipsRate {
  public:
    static constexpr std::size_t window = 128; // blocks
    static constexpr std::size_t max_failed = 5;
    static constexpr std::size_t max_in_a_row = 3;

    void add(bool failed) {
        last_ <<= 1;
        last_[0] = failed;
    }
    void restart() { last_.reset(); }

    std::size_t failed_in_window() const { return last_.count(); }
    bool too_many_in_a_row() const { return last_[0] && last_[1] && last_[2]; }
    bool exceeded() const { return failed_in_window() >= max_failed || too_many_in_a_row(); }

  private:
    std::bitset<window> last_; // the newest at 0; blocks that never were count as passed
};

} // namespace ekey::health
