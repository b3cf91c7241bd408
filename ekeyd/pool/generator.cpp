#include "ekeyd/pool/generator.h"

#include <algorithm>

#include <sodium/crypto_hash_sha512.h>

namespace ekey {

Generator::Generator() = default;

void Generator::reseed(std::span<const Byte, seed_size> seed, Time now) {
    SecretArray<key_size + seed_size> input;
    std::copy_n(state_->key, key_size, input.data());
    std::copy(seed.begin(), seed.end(), input.data() + key_size);
    SecretArray<crypto_hash_sha512_BYTES> hash;
    crypto_hash_sha512(hash.data(), input.data(), input.size());
    std::copy_n(hash.data(), key_size, state_->key);
    wipe(state_->buffer);
    used_ = buffer_size;
    bytes_since_reseed_ = 0;
    last_reseed_ = now;
    seeded_ = true;
    fork_.reset();
}

// One call, over the old key and the used-up buffer: the old key is gone once it returns. A key is used once,
// so the nonce may be the same each time.
void Generator::refill() {
    static constexpr Byte nonce[crypto_stream_chacha20_ietf_NONCEBYTES]{};
    static_assert(sizeof(State) == key_size + buffer_size);
    SecretArray<key_size> key{std::span<const Byte, key_size>(state_->key)};
    crypto_stream_chacha20_ietf(reinterpret_cast<Byte*>(state_.get()), sizeof(State), nonce, key.data());
    used_ = 0;
}

bool Generator::generate(ByteSpan out, Time now, Duration max_age) {
    if (!usable(now, max_age)) {
        return false;
    }
    for (std::size_t done = 0; done < out.size();) {
        if (used_ == buffer_size) {
            refill();
        }
        const ByteSpan piece{state_->buffer + used_, std::min(out.size() - done, buffer_size - used_)};
        std::copy(piece.begin(), piece.end(), out.data() + done);
        wipe(piece);
        done += piece.size();
        used_ += piece.size();
    }
    bytes_since_reseed_ += out.size();
    return true;
}

} // namespace ekey
