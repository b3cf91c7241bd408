// Skein-256-256 as submitted in October 2008 (v1.0/1.1), whose constants differ from today's 1.3. Entropy Keys
// speak this one, so no library has it. Source: The Skein Hash Function Family, version 1.1 (15 Nov 2008).
#pragma once

#include <array>
#include <cstdint>

#include "protocol/bytes.h"

namespace ekey {

// Copyable: copy a keyed state instead of making it again. May hold a key: the destructor wipes.
class Skein256 {
  public:
    using Digest = std::array<Byte, 32>;
    enum class Type : std::uint8_t { key = 0, config = 4, personalisation = 8, message = 48, output = 63 };

    Skein256();                              // unkeyed
    explicit Skein256(ByteView key);         // UBI(key), then UBI(config)
    Skein256(const Skein256&) = default;
    Skein256& operator=(const Skein256&) = default;
    ~Skein256();

    // Starts the given type. What the previous type still held back is dropped, not processed: the quirk that
    // Entropy Keys depend on.
    void start(Type type);
    void update(ByteView bytes);
    Digest finish();     // with the output transform (hashes)
    Digest finish_pad(); // without it (MACs)
};

// UBI(key, serial 12 bytes || secret 32 bytes); config; `name` padded to 96 characters fed as personalisation and
// never finalised; ready for message bytes.
Skein256 entropy_key_state(std::span<const Byte, 12> serial, std::span<const Byte, 32> secret, std::string_view ending);

} // namespace ekey
