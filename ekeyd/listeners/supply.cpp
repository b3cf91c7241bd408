#include "ekeyd/listeners/supply.h"

#include <algorithm>
#include <cassert>
#include <optional>

#include "ekeyd/runtime/loop.h"

namespace ekey {

namespace {

class FullEntropy final : public Supply {
  public:
    FullEntropy(Pool& pool, bool local) : pool_(pool), local_(local) {}
    std::size_t ready(std::size_t count) override { return std::min(count, pool_.spare(local_)); }
    void take(ByteSpan out, Claim claim) override {
        [[maybe_unused]] const bool taken = pool_.take(out, claim);
        assert(taken);
    }
    std::uint64_t level() override { return std::uint64_t{8} * pool_.spare(local_); }
    void wait(Taker& taker) override { pool_.wait(taker); }

  private:
    Pool& pool_;
    bool local_;
};

// Bits that a generator with a key of 256 bits can vouch for, however much is read: an honest level. Who
// sizes reads by the level gets 32 bytes at a time.
constexpr std::uint64_t strength = 256;

class Expanded final : public Supply {
  public:
    Expanded(Pool& pool, Duration max_age) : drbg_(pool.drbg()), max_age_(max_age) {}
    std::size_t ready(std::size_t count) override {
        now_ = Loop::now();
        return drbg_.ready(now_, max_age_) ? count : 0;
    }
    void take(ByteSpan out, Claim) override {
        [[maybe_unused]] const bool given = drbg_.generate(out, now_, max_age_);
        assert(given);
    }
    std::uint64_t level() override { return ready(1) == 0 ? 0 : strength; }
    void wait(Taker&) override {} // ready() has queued up for a seed, which is enough for all who wait
    void on_ready(std::function<void()> call) override { subscription_.emplace(drbg_, std::move(call)); }

  private:
    Drbg& drbg_;
    Duration max_age_;
    Time now_{}; // when it was found ready
    std::optional<Drbg::Subscription> subscription_;
};

// Each answer waits for a seed of its own, in the pool's queue.
class Resistant final : public Supply {
  public:
    Resistant(Pool& pool, bool local) : pool_(pool), local_(local) {}
    std::size_t ready(std::size_t count) override {
        return pool_.spare(local_) >= Generator::seed_size ? count : 0;
    }
    void take(ByteSpan out, Claim claim) override {
        const Time now = Loop::now();
        pool_.drbg().reseed_from_pool(now, claim);
        [[maybe_unused]] const bool given = pool_.drbg().generate(out, now, Duration::max());
        assert(given);
    }
    std::uint64_t level() override { return ready(1) == 0 ? 0 : strength; }
    void wait(Taker& taker) override { pool_.wait(taker); }
    std::size_t cost(std::size_t) const override { return Generator::seed_size; }

  private:
    Pool& pool_;
    bool local_;
};

} // namespace

std::unique_ptr<Supply> full_entropy_supply(Pool& pool, bool local) {
    return std::make_unique<FullEntropy>(pool, local);
}

std::unique_ptr<Supply> drbg_supply(Pool& pool, const DrbgOptions& options, bool local) {
    if (options.prediction_resistance) {
        return std::make_unique<Resistant>(pool, local);
    }
    return std::make_unique<Expanded>(pool, options.max_age);
}

} // namespace ekey
