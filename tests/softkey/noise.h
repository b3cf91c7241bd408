// Where softkey's noise comes from: the kernel, a seeded stream, or a file.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey::softkey {

class Noise {
  public:
    Noise() = default;
    Noise(const Noise&) = delete;
    Noise& operator=(const Noise&) = delete;
    virtual ~Noise() = default;

    // Fills all of `out`, or returns false: there is no more (a file has ended), `out` is not to be used.
    virtual bool fill(ByteSpan out) = 0;
};

std::unique_ptr<Noise> kernel_noise();

using Seed = std::array<Byte, 32>;
// 2 to 64 hexadecimal digits, an even number of them; a short seed is filled up with zeros.
Result<Seed> parse_seed(std::string_view hex);

// The ChaCha20 key stream (libsodium's crypto_stream_chacha20) under `seed`, nonce = `stream` little-endian.
// The same seed and stream give the same bytes in every run; different streams are independent.
std::unique_ptr<Noise> seeded_noise(const Seed& seed, std::uint64_t stream);

// The bytes of a file or character device, in order, once.
Result<std::unique_ptr<Noise>> file_noise(const std::string& path);

} // namespace ekey::softkey
