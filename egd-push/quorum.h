// How many servers must have contributed before anything is credited, so that no single one of them can make
// the kernel believe in bytes that it knows.
#pragma once

#include <vector>

#include "protocol/sealed/keys.h"

namespace ekey {

class Quorum {
  public:
    // `needed` servers with different keys, within one `round`; 0: no quorum, and everything is credited.
    Quorum(std::size_t needed, Duration round) : needed_(needed), round_(round) {}

    // Bytes worth `bits` have come, of a sealed server with this key, or of another one (null). Returns the
    // bits that may be credited for them now.
    //
    // With a quorum, the contribution that completes it is credited, with the least bits of any of those that
    // make it up, and once: each contribution stands for one credit at most, since all others may be known
    // to somebody. Those before it have none, and so has all that is not sealed.
    unsigned credit(const sealed::PublicKey* key, unsigned bits, Time now);

  private:
    struct Contribution {
        sealed::PublicKey key;
        unsigned bits;
        Time at;
    };
    std::size_t needed_;
    Duration round_;
    std::vector<Contribution> open_; // not yet part of a credit; fewer than needed_, with different keys
};

} // namespace ekey
