#include "protocol/sealed/symmetric.h"

#include <cassert>

#include <sodium.h>

namespace ekey::sealed {

namespace {

constexpr std::size_t block_size = 128; // BLAKE2b's, for HMAC
using SecretHash = SecretArray<hash_size>;

// BLAKE2b with state that is wiped: of HMAC's it tells the key.
class Blake2b {
  public:
    Blake2b() { crypto_generichash_blake2b_init(&state_, nullptr, 0, hash_size); }
    ~Blake2b() { wipe({reinterpret_cast<Byte*>(&state_), sizeof state_}); }
    Blake2b(const Blake2b&) = delete;
    Blake2b& operator=(const Blake2b&) = delete;
    Blake2b& update(ByteView data) {
        crypto_generichash_blake2b_update(&state_, data.data(), data.size());
        return *this;
    }
    void finish(std::span<Byte, hash_size> out) {
        crypto_generichash_blake2b_final(&state_, out.data(), out.size());
    }

  private:
    crypto_generichash_blake2b_state state_;
};

// RFC 2104. The key is shorter than a block.
SecretHash hmac(ByteView key, ByteView first, ByteView second) {
    assert(key.size() <= block_size);
    SecretArray<block_size> pad;
    SecretHash inner, out;
    const auto fill = [&](Byte with) {
        for (std::size_t i = 0; i < block_size; ++i) {
            pad.data()[i] = static_cast<Byte>((i < key.size() ? key[i] : 0) ^ with);
        }
    };
    fill(0x36);
    Blake2b().update(pad.span()).update(first).update(second).finish(inner.span());
    fill(0x5c);
    Blake2b().update(pad.span()).update(inner.span()).finish(out.span());
    return out;
}

// Section 4.3, with two outputs.
std::pair<SecretHash, SecretHash> hkdf(ByteView chaining_key, ByteView input) {
    constexpr Byte one = 1, two = 2;
    const SecretHash temporary = hmac(chaining_key, input, {});
    const SecretHash first = hmac(temporary.span(), {&one, 1}, {});
    return {first, hmac(temporary.span(), first.span(), {&two, 1})};
}

SecretKey truncate(const SecretHash& hash) {
    return SecretKey(hash.span().first<key_size>());
}

} // namespace

Hash hash_of(ByteView first, ByteView second) {
    Hash out;
    Blake2b().update(first).update(second).finish(out);
    return out;
}

Symmetric::Symmetric(std::string_view protocol_name) {
    assert(protocol_name.size() <= hash_size);
    std::memcpy(hash_.data(), protocol_name.data(), protocol_name.size());
    chaining_key_ = SecretHash(hash_);
}

void Symmetric::mix_key(const SecretKey& input) {
    const auto [chaining_key, key] = hkdf(chaining_key_.span(), input.span());
    chaining_key_ = chaining_key;
    cipher_ = Cipher(truncate(key));
}

void Symmetric::encrypt_and_hash(ByteView plaintext, ByteSpan out) {
    cipher_.encrypt(hash_, plaintext, out);
    mix_hash(out.first(plaintext.size() + overhead()));
}

bool Symmetric::decrypt_and_hash(ByteView ciphertext, ByteSpan out) {
    if (!cipher_.decrypt(hash_, ciphertext, out)) {
        return false;
    }
    mix_hash(ciphertext);
    return true;
}

std::pair<Cipher, Cipher> Symmetric::split() const {
    const auto [first, second] = hkdf(chaining_key_.span(), {});
    return {Cipher(truncate(first)), Cipher(truncate(second))};
}

} // namespace ekey::sealed
