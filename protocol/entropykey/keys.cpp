#include "protocol/entropykey/keys.h"

#include <algorithm>

#include <sodium/utils.h>

#include "protocol/entropykey/base64.h"

namespace ekey::entropykey {

namespace {

constexpr std::size_t key_text_size = 44; // base64 of 32 bytes (with filler) and of 33

// Whole base64 into at most out.size() bytes, in constant time. 0 when it does not fit or is not base64.
std::size_t decode_secret(std::string_view text, ByteSpan out) {
    unsigned all = 0;
    for (const Byte c : as_bytes(text))
        all |= c;
    if (all > 127) // libsodium 1.0.18 takes some of these for letters
        return 0;
    std::size_t size = 0;
    const int failed = sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &size,
                                         nullptr, sodium_base64_VARIANT_ORIGINAL);
    return failed != 0 ? 0 : size;
}

std::string count_of(std::size_t size) {
    return std::to_string(size) + (size == 1 ? " character" : " characters");
}

} // namespace

std::string Serial::base64() const {
    std::string text(base64::encoded_size(bytes.size()), '\0');
    base64::encode(bytes, {reinterpret_cast<Byte*>(text.data()), text.size()});
    return text;
}

Result<Serial> parse_serial(std::string_view text) {
    Serial serial;
    const std::size_t wanted = base64::encoded_size(serial.bytes.size());
    if (text.size() != wanted)
        return fail("a serial number has " + count_of(wanted) + " of base64, this one has " +
                    count_of(text.size()));
    if (base64::decode(as_bytes(text), serial.bytes) != serial.bytes.size())
        return fail("this serial number is not base64 of 12 bytes");
    return serial;
}

Result<LongTermKey> parse_long_term_key(std::string_view text) {
    if (text.size() != key_text_size)
        return fail("a long-term key has " + count_of(key_text_size) + " of base64, this one has " +
                    count_of(text.size()));
    LongTermKey key;
    if (decode_secret(text, key.span()) != key.size())
        return fail("this long-term key is not base64 of 32 bytes");
    return key;
}

void write_base64(const LongTermKey& key, std::span<char, 44> out) {
    SecretArray<key_text_size + 1> text; // libsodium adds a terminator
    sodium_bin2base64(reinterpret_cast<char*>(text.data()), text.size(), key.data(), key.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    std::copy_n(text.data(), out.size(), out.begin());
}

Result<MasterKey> parse_master_key(std::string_view typed) {
    SecretArray<key_text_size> text;
    std::size_t size = 0;
    for (const char c : typed) {
        if (c == ' ' || (c >= '\t' && c <= '\r'))
            continue;
        if (size < text.size())
            text.data()[size] = static_cast<Byte>(c);
        ++size;
    }
    if (size != text.size())
        return fail("a master key has " + count_of(text.size()) + " besides spaces, this one has " +
                    count_of(size));

    SecretArray<33> bytes;
    const std::size_t decoded = decode_secret(as_text(text.span()), bytes.span());
    if (decoded < 32)
        return fail("this master key is not base64 of 32 or 33 bytes");
    const MasterKey key{std::span<const Byte, 33>(bytes.span()).first<32>()};
    if (decoded == 33 && check_byte(key.span()) != bytes.data()[32])
        return fail("the master key's check byte does not fit: a character is mistyped");
    return key;
}

Byte check_byte(std::span<const Byte, 32> master_key) {
    unsigned crc = 0xff;
    for (const Byte byte : master_key) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit)
            crc = ((crc << 1) ^ ((0u - (crc >> 7)) & 0x31)) & 0xff; // no branch on a secret
    }
    return static_cast<Byte>(crc);
}

} // namespace ekey::entropykey
