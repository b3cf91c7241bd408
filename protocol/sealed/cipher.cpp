#include "protocol/sealed/cipher.h"

#include <algorithm>
#include <cassert>

#include <sodium.h>

namespace ekey::sealed {

namespace {

// Section 12.3: four zero bytes, then the counter, little-endian.
std::array<Byte, 12> encode_nonce(std::uint64_t counter) {
    std::array<Byte, 12> nonce{};
    for (std::size_t i = 0; i < 8; ++i) {
        nonce[4 + i] = static_cast<Byte>(counter >> (8 * i));
    }
    return nonce;
}

} // namespace

void Cipher::encrypt(ByteView associated, ByteView plaintext, ByteSpan out) {
    assert(out.size() >= plaintext.size() + overhead() && usable());
    if (!keyed_) {
        std::copy(plaintext.begin(), plaintext.end(), out.begin());
        return;
    }
    const auto nonce = encode_nonce(nonce_++);
    crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), nullptr, plaintext.data(), plaintext.size(),
                                              associated.data(), associated.size(), nullptr, nonce.data(),
                                              key_.data());
}

bool Cipher::decrypt(ByteView associated, ByteView ciphertext, ByteSpan out) {
    if (ciphertext.size() < overhead()) {
        return false;
    }
    assert(out.size() >= ciphertext.size() - overhead() && usable());
    if (!keyed_) {
        std::copy(ciphertext.begin(), ciphertext.end(), out.begin());
        return true;
    }
    const auto nonce = encode_nonce(nonce_);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, ciphertext.data(),
                                                  ciphertext.size(), associated.data(), associated.size(),
                                                  nonce.data(), key_.data()) != 0) {
        return false;
    }
    ++nonce_;
    return true;
}

void Cipher::rekey() {
    assert(keyed_);
    const auto nonce = encode_nonce(last);
    SecretArray<key_size + tag_size> out;
    const SecretKey zeros;
    crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), nullptr, zeros.data(), key_size, nullptr, 0,
                                              nullptr, nonce.data(), key_.data());
    std::memcpy(key_.data(), out.data(), key_size);
}

} // namespace ekey::sealed
