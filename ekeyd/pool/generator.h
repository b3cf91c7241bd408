// A ChaCha20 generator with fast key erasure (D. J. Bernstein, "Fast-key-erasure random-number generators",
// 2017): each refill of its buffer makes 1,024 bytes of key stream, of which the first 32 are the next key
// and take the old one's place before any byte is given out. What has been given out is erased. So the state
// never holds, nor leads back to, what it gave before.
//
// The state lives in locked memory. A process that was forked off holds a copy of it; the copy refuses until
// it is reseeded, so that no byte is given twice.
#pragma once

#include <cstdint>
#include <span>

#include <sodium/crypto_stream_chacha20.h>

#include "ekeyd/pool/fork_mark.h"
#include "ekeyd/runtime/secret.h"
#include "protocol/bytes.h"

namespace ekey {

class Generator {
  public:
    static constexpr std::size_t seed_size = 64; // bytes: one output of the conditioner
    static constexpr std::size_t key_size = crypto_stream_chacha20_ietf_KEYBYTES; // 32
    // Some hundred bytes make the cost of a refill small beside a request's, and 1,024 are whole vectors of
    // libsodium's ChaCha20 (eight blocks of 64 bytes).
    static constexpr std::size_t buffer_size = 1024 - key_size;

    Generator(); // throws when memory cannot be locked

    // Mixes a seed in: key = the first 32 bytes of SHA-512(key || seed), and the buffer is erased, so that
    // the next byte depends on the seed. A hash of both, so that a bad seed leaves the key as unknown as it
    // was, and a good one makes a known key unknown again. Before the first seed the key is zeros. `seed`:
    // bytes of full entropy that go nowhere else; the caller wipes them. `now` is kept as its time.
    void reseed(std::span<const Byte, seed_size> seed, Time now);

    // Whether generate() would give bytes.
    bool usable(Time now, Duration max_age) const { return seeded() && now - last_reseed_ <= max_age; }
    // Fills `out`; any size. False, and nothing written, while unseeded (in this process) or when the last
    // reseed is older than max_age.
    bool generate(ByteSpan out, Time now, Duration max_age = Duration::max());

    bool seeded() const { return seeded_ && !fork_.happened(); }
    std::uint64_t bytes_since_reseed() const { return bytes_since_reseed_; }
    Time last_reseed() const { return last_reseed_; } // of no meaning before the first

  private:
    struct State {
        Byte key[key_size];
        Byte buffer[buffer_size];
    };
    void refill();

    Locked<State> state_ = make_locked<State>();
    std::size_t used_ = buffer_size; // bytes of the buffer that are given out or were never made
    std::uint64_t bytes_since_reseed_ = 0;
    Time last_reseed_{};
    ForkMark fork_;
    bool seeded_ = false;
};

} // namespace ekey
