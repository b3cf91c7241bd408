// CipherState of the Noise specification, revision 34, section 5.1, with ChaChaPoly (section 12.3).
#pragma once

#include <cstdint>
#include <limits>

#include "protocol/sealed/keys.h"

namespace ekey::sealed {

inline constexpr std::size_t tag_size = 16; // Poly1305

class Cipher {
  public:
    Cipher() = default; // without a key: what is to be sealed stays as it is
    explicit Cipher(const SecretKey& key, std::uint64_t nonce = 0) : key_(key), nonce_(nonce), keyed_(true) {}

    bool keyed() const { return keyed_; }
    // Bytes that sealing adds: tag_size, or none without a key.
    std::size_t overhead() const { return keyed_ ? tag_size : 0; }
    // False when the last nonce is used up: then neither call below may be made.
    bool usable() const { return nonce_ != last; }

    // Writes plaintext.size() + overhead() bytes. `out` may begin where `plaintext` does, or lie apart.
    void encrypt(ByteView associated, ByteView plaintext, ByteSpan out);
    // Writes ciphertext.size() - overhead() bytes. False when the ciphertext is too short or does not
    // authenticate: then `out` has nothing of it and the nonce stays.
    bool decrypt(ByteView associated, ByteView ciphertext, ByteSpan out);
    // REKEY (section 4.2). The nonce goes on.
    void rekey();

  private:
    static constexpr std::uint64_t last = std::numeric_limits<std::uint64_t>::max(); // REKEY's own
    SecretKey key_;
    std::uint64_t nonce_ = 0;
    bool keyed_ = false;
};

} // namespace ekey::sealed
