#include "protocol/sealed/keys.h"

#include <sodium.h>

namespace ekey::sealed {

namespace {

// libsodium's decoder: strict, and without tables.
bool decode(std::string_view text, std::span<Byte, key_size> out) {
    std::size_t size = 0;
    return text.size() == key_text_size &&
           sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &size, nullptr,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           size == key_size;
}

} // namespace

KeyPair key_pair(const SecretKey& secret) {
    KeyPair pair{secret, {}};
    crypto_scalarmult_curve25519_base(pair.public_key.data(), secret.data());
    return pair;
}

bool exchange(const SecretKey& own, const PublicKey& other, SecretKey& shared) {
    if (crypto_scalarmult_curve25519(shared.data(), own.data(), other.data()) != 0) {
        shared = SecretKey();
        return false;
    }
    return true;
}

SecretKey ephemeral_secret(const KeyPair& self, const SecretKey& random, Time now) {
    constexpr std::string_view purpose = "ekeyd sealed ephemeral";
    const auto count = static_cast<std::uint64_t>(now.time_since_epoch().count());
    std::array<Byte, sizeof count> time;
    std::memcpy(time.data(), &count, sizeof count);
    alignas(64) crypto_generichash_blake2b_state state;
    SecretKey out;
    crypto_generichash_blake2b_init(&state, self.secret.data(), key_size, key_size);
    crypto_generichash_blake2b_update(&state, as_bytes(purpose).data(), purpose.size());
    crypto_generichash_blake2b_update(&state, random.data(), key_size);
    crypto_generichash_blake2b_update(&state, time.data(), time.size());
    crypto_generichash_blake2b_final(&state, out.data(), key_size);
    wipe({reinterpret_cast<Byte*>(&state), sizeof state});
    return out;
}

std::string encode_key(const PublicKey& key) {
    std::array<char, key_text_size + 1> text;
    sodium_bin2base64(text.data(), text.size(), key.data(), key.size(), sodium_base64_VARIANT_ORIGINAL);
    return {text.data(), key_text_size};
}

std::optional<PublicKey> decode_public_key(std::string_view text) {
    PublicKey key;
    return decode(text, key) ? std::optional(key) : std::nullopt;
}

void encode_secret(const SecretKey& secret, std::span<char, key_text_size> text) {
    SecretArray<key_text_size + 1> terminated;
    sodium_bin2base64(reinterpret_cast<char*>(terminated.data()), terminated.size(), secret.data(), key_size,
                      sodium_base64_VARIANT_ORIGINAL);
    std::memcpy(text.data(), terminated.data(), text.size());
}

std::optional<SecretKey> decode_secret(std::string_view text) {
    SecretKey key;
    return decode(text, key.span()) ? std::optional(key) : std::nullopt;
}

} // namespace ekey::sealed
