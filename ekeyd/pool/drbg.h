// The generator that clients of `output=drbg` share. It is seeded and reseeded with bytes of the pool, which
// are no longer served then, and for which it takes its turn like any client.
#pragma once

#include <functional>
#include <list>

#include "ekeyd/pool/generator.h"
#include "ekeyd/pool/turns.h"

namespace ekey {

class Pool;

class Drbg {
  public:
    explicit Drbg(Pool& pool); // throws when memory cannot be locked

    // Reseeds first when that is due: at once when the pool can spare the bytes, else the generator goes on
    // and queues up for them. Due: 60 s after the last one (or half of max_age, if that is less), or after
    // 64 KiB, but not twice within a second, so that any amount of output takes 64 bytes of the pool a second
    // at most. Returns whether generate() gives bytes now.
    bool ready(Time now, Duration max_age);
    // As Generator's: false while unseeded, or older than max_age.
    bool generate(ByteSpan out, Time now, Duration max_age) {
        const bool done = generator_.generate(out, now, max_age);
        bytes_out_ += done ? out.size() : 0;
        return done;
    }

    // Prediction resistance: takes seed_size bytes, which the pool must hold (assertion), and reseeds.
    void reseed_from_pool(Time now, Claim claim = Claim::turn);

    // Whoever waits until it can give bytes is called after each reseed. The call must not serve anyone at
    // once: it may come from within another's turn. It lasts as long as the handle.
    using Call = std::function<void()>;
    class Subscription {
      public:
        Subscription(Drbg& drbg, Call call)
            : calls_(drbg.calls_), at_(drbg.calls_.insert(drbg.calls_.end(), std::move(call))) {}
        ~Subscription() { calls_.erase(at_); }
        Subscription(const Subscription&) = delete;
        Subscription& operator=(const Subscription&) = delete;

      private:
        std::list<Call>& calls_;
        std::list<Call>::iterator at_;
    };

    const Generator& generator() const { return generator_; }
    std::uint64_t reseeds() const { return reseeds_; }
    std::uint64_t bytes_out() const { return bytes_out_; }

  private:
    struct Seeder final : Taker {
        explicit Seeder(Drbg& d) : drbg(d) {}
        std::size_t wanted() const override { return Generator::seed_size; }
        bool serve(Pool& pool) override;
        Drbg& drbg;
    };
    bool due(Time now, Duration max_age) const;

    Pool& pool_;
    Generator generator_;
    Seeder seeder_{*this};
    std::list<Call> calls_;
    std::uint64_t reseeds_ = 0, bytes_out_ = 0;
};

} // namespace ekey
