// SymmetricState of the Noise specification, revision 34, section 5.2, with BLAKE2b (section 12.5).
#pragma once

#include <utility>

#include "protocol/sealed/cipher.h"

namespace ekey::sealed {

inline constexpr std::size_t hash_size = 64;
using Hash = std::array<Byte, hash_size>;

// BLAKE2b of one after the other.
Hash hash_of(ByteView first, ByteView second);

class Symmetric {
  public:
    // Section 5.2: a name of at most hash_size bytes is filled up with zeros.
    explicit Symmetric(std::string_view protocol_name);

    void mix_key(const SecretKey& input);
    void mix_hash(ByteView data) { hash_ = hash_of(hash_, data); }
    std::size_t overhead() const { return cipher_.overhead(); }
    void encrypt_and_hash(ByteView plaintext, ByteSpan out); // plaintext.size() + overhead() bytes
    bool decrypt_and_hash(ByteView ciphertext, ByteSpan out);
    // The two directions' ciphers: the initiator's first.
    std::pair<Cipher, Cipher> split() const;

    const Hash& hash() const { return hash_; }
    void set_hash(const Hash& hash) { hash_ = hash; }

  private:
    SecretArray<hash_size> chaining_key_;
    Hash hash_{}; // no secret: every byte of it was on the wire or is known beforehand
    Cipher cipher_;
};

} // namespace ekey::sealed
