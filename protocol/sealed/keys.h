// X25519 keys, and how people write them: base64 (RFC 4648, section 4), 44 characters.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/bytes.h"

namespace ekey::sealed {

inline constexpr std::size_t key_size = 32;
inline constexpr std::size_t key_text_size = 44; // with its one filler

using PublicKey = std::array<Byte, key_size>;
using SecretKey = SecretArray<key_size>;

// A node's static keys. Its owner keeps it in locked memory.
struct KeyPair {
    SecretKey secret;
    PublicKey public_key{};
};

// The pair of a secret: any 32 random bytes (RFC 7748, section 5, clears and sets the bits that must be).
KeyPair key_pair(const SecretKey& secret);

// The shared secret of one's own secret and another's public key. False, and zeros, when it would be zero,
// whatever one's own secret is.
bool exchange(const SecretKey& own, const PublicKey& other, SecretKey& shared);

// An ephemeral secret that is as hard to guess as the better of two: 32 bytes of the system's generator, and
// the static secret together with the time, which never is the same twice. So a guest whose generator
// starts as its clones' does, or is known, still has ephemeral keys of its own (the idea of RFC 8937).
SecretKey ephemeral_secret(const KeyPair& self, const SecretKey& random, Time now);

std::string encode_key(const PublicKey& key);
std::optional<PublicKey> decode_public_key(std::string_view text); // exactly 44 characters
// In a time that does not depend on the secret. `text` holds key_text_size characters and no terminator.
void encode_secret(const SecretKey& secret, std::span<char, key_text_size> text);
std::optional<SecretKey> decode_secret(std::string_view text);

} // namespace ekey::sealed
