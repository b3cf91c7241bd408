#include <doctest/doctest.h>

#include "protocol/sealed/keys.h"
#include "tests/unit/protocol/sealed/parts.h"

using namespace ekey;
using namespace ekey::test;

namespace {
sealed::SecretKey secret(const char* hex) {
    sealed::SecretKey key;
    const Bytes bytes = from_hex(hex);
    std::copy(bytes.begin(), bytes.end(), key.data());
    return key;
}
} // namespace

TEST_CASE("keys and what two of them share are those of RFC 7748, section 6.1") {
    const auto bob =
        sealed::key_pair(secret("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    CHECK(to_vector(bob.public_key) ==
          from_hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    sealed::PublicKey alice;
    const Bytes bytes = from_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    std::copy(bytes.begin(), bytes.end(), alice.begin());
    sealed::SecretKey shared;
    CHECK(sealed::exchange(bob.secret, alice, shared));
    CHECK(shared == secret("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));
}

TEST_CASE("keys are written in base64 and read back, and nothing else is read") {
    // python3 -c 'import base64; print(base64.b64encode(bytes(range(32))))'
    constexpr std::string_view text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    sealed::PublicKey key;
    for (std::size_t i = 0; i < key.size(); ++i)
        key[i] = static_cast<Byte>(i);
    CHECK(sealed::encode_key(key) == text);
    CHECK(sealed::decode_public_key(text) == key);

    const auto read = sealed::decode_secret(text);
    REQUIRE(read);
    CHECK(*read == sealed::SecretKey(key));
    std::array<char, sealed::key_text_size> written;
    sealed::encode_secret(*read, written);
    CHECK(std::string_view(written.data(), written.size()) == text);

    for (const std::string_view bad : {
             std::string_view(""),
             std::string_view("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),   // no filler
             std::string_view("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=="), // too long
             std::string_view("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9="),  // bits that mean nothing
             std::string_view("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-="),  // another alphabet
             std::string_view("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg=="),  // 31 bytes
             std::string_view("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"),  // 33 bytes
             std::string_view("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"),
         }) {
        CAPTURE(bad);
        CHECK_FALSE(sealed::decode_public_key(bad));
        CHECK_FALSE(sealed::decode_secret(bad));
    }
}

TEST_CASE("an ephemeral key depends on the generator, the static key and the time") {
    const auto self = pair_of(1), other = pair_of(2);
    const Time now{std::chrono::seconds(5)};
    const auto made = sealed::ephemeral_secret(self, secret_of(3), now);
    CHECK(made == sealed::ephemeral_secret(self, secret_of(3), now));
    CHECK_FALSE(made == sealed::ephemeral_secret(self, secret_of(4), now));
    CHECK_FALSE(made == sealed::ephemeral_secret(other, secret_of(3), now));
    CHECK_FALSE(made == sealed::ephemeral_secret(self, secret_of(3), now + Duration(1)));
}
