#include "ekeyd/pool/rbg3_xor.h"

namespace ekey {

bool Rbg3Xor::reseed_due(Time now) const {
    const std::uint64_t masked = generator_.bytes_since_reseed();
    return masked >= reseed_after_bytes ||
           (masked >= fewest_bytes && now - generator_.last_reseed() >= reseed_after_time);
}

bool Rbg3Xor::mask(std::span<Byte, Generator::seed_size> output, Time now) {
    SecretArray<Generator::seed_size> stream;
    if (reseed_due(now) || !generator_.generate(stream.span(), now)) { // unseeded, or forked off
        generator_.reseed(output, now);
        wipe(output);
        ++reseeds_;
        return false;
    }
    for (std::size_t i = 0; i < output.size(); ++i) {
        output[i] ^= stream.data()[i];
    }
    return true;
}

} // namespace ekey
