// Full-entropy output as in the RBG3(XOR) construction of NIST SP 800-90C: each conditioned output is XORed
// with as many bytes of a generator that was seeded before. Either alone is enough: while the noise is good
// the result has full entropy whatever the generator does, and when a source fails unseen, what is served is
// still as hard to guess as the generator's state.
//
// It stands between the conditioner and the pool, so that one place serves clients and sinks alike, the cost
// does not depend on the size of requests, and what is made of which noise can be recomputed by a test. That
// the pool then holds masked bytes weakens nothing: whoever reads the pool's memory reads the generator's
// too.
//
// The generator is its own, apart from the one of `output=drbg`, so that what drbg clients draw leaves it as
// it is.
#pragma once

#include <cstdint>

#include "ekeyd/pool/generator.h"

namespace ekey {

class Rbg3Xor {
  public:
    // Ours. By amount: a reseed takes 64 bytes, 0.1 % of what was masked since the last one. By time: so that
    // a state that leaked is of use for a minute; but never before 1 KiB was masked, so that a slow source
    // does not spend more than a sixteenth of its noise on it.
    static constexpr std::uint64_t reseed_after_bytes = 65536, fewest_bytes = 1024;
    static constexpr Duration reseed_after_time = std::chrono::seconds(60);

    // Takes one conditioned output. True: it is masked in place, and may be served. False: it became the
    // generator's seed (the first one always does), must not be served, and is wiped.
    bool mask(std::span<Byte, Generator::seed_size> output, Time now);

    std::uint64_t reseeds() const { return reseeds_; } // with the first seed

  private:
    bool reseed_due(Time now) const;

    Generator generator_;
    std::uint64_t reseeds_ = 0;
};

} // namespace ekey
