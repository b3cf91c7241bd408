#include "ekeyd/pool/drbg.h"

#include <algorithm>
#include <cassert>

#include "ekeyd/pool/pool.h"
#include "ekeyd/runtime/loop.h"

namespace ekey {

namespace {
constexpr Duration reseed_after_time = std::chrono::seconds(60);
constexpr Duration shortest_rest = std::chrono::seconds(1);
constexpr std::uint64_t reseed_after_bytes = 65536;
} // namespace

Drbg::Drbg(Pool& pool) : pool_(pool) {}

bool Drbg::due(Time now, Duration max_age) const {
    if (!generator_.seeded()) {
        return true;
    }
    const Duration age = now - generator_.last_reseed();
    return age >= std::min(reseed_after_time, max_age / 2) ||
           (generator_.bytes_since_reseed() >= reseed_after_bytes && age >= shortest_rest);
}

bool Drbg::ready(Time now, Duration max_age) {
    if (due(now, max_age)) {
        if (pool_.spare() >= Generator::seed_size) {
            reseed_from_pool(now, Claim::spare);
        } else {
            pool_.turns().wait(seeder_);
        }
    }
    return generator_.usable(now, max_age);
}

void Drbg::reseed_from_pool(Time now, Claim claim) {
    SecretArray<Generator::seed_size> seed;
    [[maybe_unused]] const bool taken = pool_.take(seed.span(), claim);
    assert(taken);
    generator_.reseed(seed.span(), now);
    ++reseeds_;
    for (const Call& call : calls_) {
        call();
    }
}

bool Drbg::Seeder::serve(Pool&) {
    drbg.reseed_from_pool(Loop::now());
    return false;
}

} // namespace ekey
