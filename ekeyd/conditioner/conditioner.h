// Conditioning with SHA-512, a vetted component of NIST SP 800-90B 3.1.5. Promise 2: 512 bits go out only for at
// least 512 + 64 bits of assessed input, which makes them full entropy (90B, output within 2^-64 of it).
//
// Holds unreleased entropy: keep it in locked memory (make_locked).
#pragma once

#include <cstdint>

#include "protocol/bytes.h"

namespace ekey {

class Conditioner {
  public:
    static constexpr std::size_t output_size = 64;                  // bytes
    static constexpr std::uint32_t input_bits = 8 * output_size + 64; // assessed bits that one output takes

    // `source` is a small number that names who is credited, 0..max_sources-1.
    static constexpr std::size_t max_sources = 64;

    Conditioner();
    ~Conditioner();

    // Mixes bytes in, up to the point where an output is ready, and returns how many were used (0 when one is
    // ready already). Each byte counts min_entropy bits (0..8; 0 mixes without credit).
    std::size_t add(std::size_t source, ByteView bytes, double min_entropy);
    // Mixes bytes in without credit, whether or not an output is ready: for what the pool has no room for.
    void absorb(ByteView bytes);

    bool ready() const;
    // Writes one output and starts the next; the state keeps nothing that gives the output away.
    // Must only be called when ready(): otherwise it is our own bug (assertion).
    void extract(std::span<Byte, output_size> out);

    // The source has failed: takes back the credit it has in the output being gathered.
    void revoke(std::size_t source);

    double gathered_bits() const; // credit held towards the next output

    struct Counters {
        double bits_in = 0;          // assessed
        std::uint64_t bytes_in = 0, bytes_out = 0;
    };
    const Counters& counters() const;
};

} // namespace ekey
