// The repetition count test of NIST SP 800-90B 4.4.1, on bytes: finds a source that is stuck.
#pragma once

#include "protocol/bytes.h"

namespace ekey::health {

class RepetitionCount {
  public:
    // Fails when `cutoff` equal samples stand in a row; at least 3 (the claim of 8 bits a byte gives 5).
    explicit RepetitionCount(unsigned cutoff) : cutoff_(cutoff) {}

    // Tests the samples as the continuation of all before them. Returns the index of the sample that failed,
    // or samples.size() when none did. After a failure only restart() may follow.
    std::size_t test(ByteView samples);
    void restart() {
        last_ = none;
        run_ = 0;
    }

    unsigned cutoff() const { return cutoff_; }

  private:
    static constexpr unsigned none = 256;

    bool test_one(Byte sample);

    unsigned cutoff_;
    unsigned last_ = none; // the last sample
    unsigned run_ = 0;     // how many of it in a row
};

} // namespace ekey::health
