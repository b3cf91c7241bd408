// The adaptive proportion test of NIST SP 800-90B 4.4.2, on bytes: finds a source that prefers one value.
#pragma once

#include "protocol/bytes.h"

namespace ekey::health {

class AdaptiveProportion {
  public:
    static constexpr unsigned window = 512; // 90B 4.4.2: 512 samples when there are more than two values

    // Fails when the first sample of a window comes `cutoff` times in that window; 2..window.
    explicit AdaptiveProportion(unsigned cutoff) : cutoff_(cutoff) {}

    // Tests the samples as the continuation of all before them. Returns the index of the sample that failed,
    // or samples.size() when none did. After a failure only restart() may follow.
    std::size_t test(ByteView samples);
    void restart() { position_ = count_ = 0; }

    unsigned cutoff() const { return cutoff_; }

  private:
    unsigned cutoff_;
    unsigned position_ = 0; // samples of the current window seen
    unsigned count_ = 0;    // how many of them equal value_
    Byte value_ = 0;        // the first of them
};

} // namespace ekey::health
