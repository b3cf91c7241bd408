// Skein-256-256 as submitted in October 2008 (v1.0/1.1), whose constants differ from today's 1.3. Entropy
// Keys speak this one, so no library has it. Source: The Skein Hash Function Family, version 1.1 (15 Nov
// 2008).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/bytes.h"

namespace ekey {

// Copyable: copy a keyed state instead of making it again. May hold a key: the destructor wipes.
class Skein256 {
  public:
    static constexpr std::size_t block_size = 32;
    using Digest = std::array<Byte, 32>;
    // Section 3.4, table of UBI types.
    enum class Type : std::uint8_t { key = 0, config = 4, personalisation = 8, message = 48, output = 63 };

    Skein256();                      // unkeyed
    explicit Skein256(ByteView key); // UBI(key), then UBI(config); ready for message bytes
    Skein256(const Skein256&) = default;
    Skein256& operator=(const Skein256&) = default;
    ~Skein256();

    // Starts the given type. What the previous type still held back is dropped, not processed: the quirk that
    // Entropy Keys depend on.
    void start(Type type);
    // Any number of bytes. The last full block is held back until more bytes or the end come.
    void update(ByteView bytes);
    // The state is spent afterwards: only copying another into it, or start(), makes sense. A digest made
    // with a key is as secret as its use: the caller wipes it.
    Digest finish();     // with the output transform (hashes)
    Digest finish_pad(); // without it (MACs)

    // What a copy of this state would answer after update(message) and finish() or finish_pad(), without the
    // copy. Nothing may be held back: this is for keyed states that are used again and again.
    Digest finish_with(ByteView message) const;
    Digest finish_pad_with(ByteView message) const;

    // hash.finish_with(message) and mac.finish_pad_with(content) together, for a message of at most one block
    // and a content of more than one and at most two. With AVX2 that costs half of one after the other.
    struct HashAndMac {
        Digest hash, mac;
    };
    static HashAndMac finish_both(const Skein256& hash, ByteView message, const Skein256& mac,
                                  ByteView content);

  private:
    using Words = std::array<std::uint64_t, 4>;
    Words chain_with(ByteView message) const;
    void process(const Byte* block, std::size_t bytes);
    void finish_type(); // pads and processes what is held, as the last block of its type

    std::array<std::uint64_t, 4> chain_{};
    std::uint64_t position_ = 0; // bytes of this type so far: the low word of the tweak
    std::uint64_t flags_ = 0;    // type, first, final: the high word
    std::array<Byte, block_size> held_{};
    std::size_t held_size_ = 0;
};

// UBI(key, serial 12 bytes || secret 32 bytes); config; the vendor's prefix and `ending` padded with spaces
// to 96 characters, fed as personalisation and never finalised; ready for message bytes. `ending` has at most
// 52 characters. Source: README.protocol of ekeyd 1.1.5, "Hashes and MACs".
Skein256 entropy_key_state(std::span<const Byte, 12> serial, std::span<const Byte, 32> secret,
                           std::string_view ending);

} // namespace ekey
