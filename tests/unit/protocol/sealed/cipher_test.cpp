#include <doctest/doctest.h>
#include <sodium.h>

#include "protocol/sealed/cipher.h"
#include "tests/unit/protocol/sealed/parts.h"

using namespace ekey;
using namespace ekey::test;
using sealed::Cipher;

namespace {

// The specification's ENCRYPT, by libsodium itself.
Bytes encrypt(const sealed::SecretKey& key, std::uint64_t counter, ByteView plaintext) {
    std::array<Byte, 12> nonce{};
    for (std::size_t i = 0; i < 8; ++i)
        nonce[4 + i] = static_cast<Byte>(counter >> (8 * i));
    Bytes out(plaintext.size() + 16);
    crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), nullptr, plaintext.data(), plaintext.size(),
                                              nullptr, 0, nullptr, nonce.data(), key.data());
    return out;
}

Bytes next(Cipher& cipher, ByteView plaintext) {
    Bytes out(plaintext.size() + cipher.overhead());
    cipher.encrypt({}, plaintext, out);
    return out;
}

} // namespace

TEST_CASE("a cipher counts its messages in the nonce, little-endian after four zeros") {
    const auto key = secret_of(7);
    Cipher cipher(key, 0x01020304050607ff);
    CHECK(next(cipher, bytes_of("noise")) == encrypt(key, 0x01020304050607ff, bytes_of("noise")));
    CHECK(next(cipher, bytes_of("noise")) == encrypt(key, 0x0102030405060800, bytes_of("noise")));
}

TEST_CASE("re-keying is the specification's REKEY, and the nonce goes on") {
    const auto key = secret_of(7);
    Cipher cipher(key);
    next(cipher, bytes_of("noise"));
    cipher.rekey();
    const Bytes zeros(32);
    const Bytes made = encrypt(key, 0xffffffffffffffff, zeros);
    sealed::SecretKey rekeyed;
    std::copy_n(made.begin(), 32, rekeyed.data());
    CHECK(next(cipher, bytes_of("noise")) == encrypt(rekeyed, 1, bytes_of("noise")));
}

TEST_CASE("a cipher without a key passes on what it gets") {
    Cipher cipher;
    CHECK(next(cipher, bytes_of("clear")) == bytes_of("clear"));
    Bytes out(5);
    CHECK(cipher.decrypt({}, bytes_of("clear"), out));
    CHECK(out == bytes_of("clear"));
}

TEST_CASE("a message that does not authenticate leaves the nonce where it was") {
    const auto key = secret_of(7);
    Bytes message = encrypt(key, 0, bytes_of("noise"));
    Bytes out(message.size());
    Cipher cipher(key);
    message[2] ^= 1;
    CHECK_FALSE(cipher.decrypt({}, message, out));
    CHECK_FALSE(cipher.decrypt({}, ByteView(message).first(15), out));
    message[2] ^= 1;
    CHECK(cipher.decrypt({}, message, out));
    CHECK_FALSE(cipher.decrypt({}, message, out));
}

TEST_CASE("the last nonce is never used") {
    Cipher cipher(secret_of(7), 0xfffffffffffffffe);
    CHECK(cipher.usable());
    next(cipher, {});
    CHECK_FALSE(cipher.usable());
}
