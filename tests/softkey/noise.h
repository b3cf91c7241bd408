// Where softkey's noise comes from: the kernel, a seeded stream, or a file.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "protocol/bytes.h"
#include "protocol/entropykey/packet.h"
#include "protocol/result.h"

namespace ekey::softkey {

class Noise {
  public:
    Noise() = default;
    Noise(const Noise&) = delete;
    Noise& operator=(const Noise&) = delete;
    virtual ~Noise() = default;

    // Fills all of `out`, or returns false, and `out` is not to be used: there is no more (a file has ended),
    // not enough yet, or the noise has failed its tests.
    virtual bool fill(ByteSpan out) = 0;
    // Whether there can be more after fill() returned false.
    virtual bool ended() const { return true; }

    // For noise that is tested before it is given out; other noise is taken as it is.
    virtual void power_on() {} // the tests begin again, as in a key that is plugged in
    // The failure code of an Entropy Key's S report: '0' none. No byte is given out with any other.
    virtual char failure() const { return '0'; }
    // FIPS 140-2 blocks since power_on().
    virtual std::optional<entropykey::FipsReport> fips() const { return std::nullopt; }
    // `changed` is called from the loop when there is more, or failure() is another.
    virtual void on_change(std::function<void()> changed) { static_cast<void>(changed); }
};

std::unique_ptr<Noise> kernel_noise();

using Seed = std::array<Byte, 32>;
// 2 to 64 hexadecimal digits, an even number of them; a short seed is filled up with zeros.
Result<Seed> parse_seed(std::string_view hex);

// The ChaCha20 key stream (libsodium's crypto_stream_chacha20) under `seed`, nonce = `stream` little-endian.
// The same seed and stream give the same bytes in every run; different streams are independent.
std::unique_ptr<Noise> seeded_noise(const Seed& seed, std::uint64_t stream);

// The bytes of a regular file, in order, once.
Result<std::unique_ptr<Noise>> file_noise(const std::string& path);

} // namespace ekey::softkey
