// Where a listener's bytes come from: the pool itself (output=full-entropy), or the generator that the pool
// seeds (output=drbg).
#pragma once

#include <functional>
#include <memory>

#include "ekeyd/pool/pool.h"

namespace ekey {

class Supply {
  public:
    Supply() = default;
    Supply(const Supply&) = delete;
    Supply& operator=(const Supply&) = delete;
    virtual ~Supply() = default;

    // Of `count` bytes (1..255), how many a read gets now that does not wait.
    virtual std::size_t ready(std::size_t count) = 0;
    // Fills `out`, which is not empty, with at most as many bytes as ready() has just said, or, in a taker's
    // turn, as many as it waited for.
    virtual void take(ByteSpan out, Claim claim) = 0;
    // What the level command answers, in bits.
    virtual std::uint64_t level() = 0;

    // For one whose read of `count` bytes must wait: joins the queue, and how many bytes of the pool it waits
    // for there.
    virtual void wait(Taker& taker) = 0;
    virtual std::size_t cost(std::size_t count) const { return count; }
    // The queue is not the pool's: `call` says when those who wait are to try again. It must not serve them
    // at once.
    // NOLINTNEXTLINE(performance-unnecessary-value-param): those with a queue keep it
    virtual void on_ready(std::function<void()> call) { static_cast<void>(call); }
};

struct DrbgOptions {
    // Noise that arrives reseeds the generator once a minute, so a seed this old means that none has come for
    // as long. An hour outlasts a reboot of the host that serves us and a key that is put back in, and a
    // source that stays dead does not go unnoticed for longer. The cipher would do for years.
    Duration max_age = std::chrono::hours(1);
    bool prediction_resistance = false; // reseeds before each answer: 64 bytes of the pool
};

// For clients that are local or not (the pool's reserve). The generator's own seeds are local: they serve
// all.
std::unique_ptr<Supply> full_entropy_supply(Pool& pool, bool local = true);
std::unique_ptr<Supply> drbg_supply(Pool& pool, const DrbgOptions& options, bool local = true);

} // namespace ekey
