// Conditioning with SHA-512, a vetted component of NIST SP 800-90B 3.1.5. Promise 2: 512 bits go out only for
// at least 512 + 64 bits of assessed input, which makes them full entropy: by the formula of 90B 3.1.5.1.2
// the output lacks 8e-20 bit at 7 bits a byte and 9e-9 bit at 8, where SP 800-90C allows 512 * 2^-32
// = 1.2e-7.
//
// An output is SHA-512 of the input bytes since the last output, in their order, and of nothing else:
// sha512sum can check it. There is no prefix that says what the hash is for, because no other part of the
// program hashes samples; and nothing is carried from one output to the next, so that the state after
// extract() is empty. Masking a source that fails unseen is the generator's part (full-entropy output is
// XORed with it), not this one's.
//
// The credits of several sources add up; that they are independent is for who configures them.
//
// Holds unreleased entropy: keep it in locked memory (make_locked).
#pragma once

#include <array>
#include <cstdint>

#include <sodium/crypto_hash_sha512.h>

#include "protocol/bytes.h"

namespace ekey {

class Conditioner {
  public:
    static constexpr std::size_t output_size = crypto_hash_sha512_BYTES; // 64
    static constexpr std::uint32_t input_bits = 8 * output_size + 64; // assessed bits that one output takes

    // `source` is a small number that names who is credited, 0..max_sources-1.
    static constexpr std::size_t max_sources = 64;

    Conditioner();
    ~Conditioner(); // wipes
    Conditioner(const Conditioner&) = delete;
    Conditioner& operator=(const Conditioner&) = delete;

    // Mixes bytes in, up to the point where an output is ready, and returns how many were used (0 when one is
    // ready already). Each byte counts min_entropy bits (0..8; 0 mixes without credit), rounded down to
    // 1/65536 bit; what is below 0, above 8 or no number counts 0.
    std::size_t add(std::size_t source, ByteView bytes, double min_entropy);
    // Mixes bytes in without credit, whether or not an output is ready: for what the pool has no room for.
    // Hashing keeps no input, so that any amount may be absorbed.
    void absorb(ByteView bytes);

    bool ready() const { return credit_ >= needed; }
    // Writes one output and starts the next; the state keeps nothing that gives the output away.
    // Must only be called when ready(): otherwise it is our own bug (assertion).
    void extract(std::span<Byte, output_size> out);

    // The source has failed: takes back the credit it has in the output being gathered. Its bytes stay mixed
    // in, which costs nothing.
    void revoke(std::size_t source);

    double gathered_bits() const { return bits(credit_); } // credit held towards the next output

    struct Counters {
        double bits_in = 0; // assessed, without what was revoked
        std::uint64_t bytes_in = 0, bytes_out = 0;
    };
    const Counters& counters() const { return counters_; }

  private:
    // Credit is counted in whole units of 1/65536 bit: sums are exact.
    using Credit = std::uint64_t;
    static constexpr Credit bit = 65536;
    static constexpr Credit needed = input_bits * bit;
    static double bits(Credit credit) { return static_cast<double>(credit) / static_cast<double>(bit); }
    static Credit credit_a_byte(double min_entropy);

    crypto_hash_sha512_state hash_;
    Credit credit_ = 0; // the sum of credits_
    std::array<Credit, max_sources> credits_{};
    std::size_t slots_used_ = 0; // credits_ is zero from here on
    Counters counters_;
};

} // namespace ekey
