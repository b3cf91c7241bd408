#include "protocol/entropykey/packet.h"

#include <algorithm>
#include <cassert>

#include "protocol/entropykey/base64.h"

namespace ekey::entropykey {

namespace {

constexpr char text_encoding = '>', binary_encoding = '!';
constexpr std::size_t sub_code_size = 2;
constexpr std::size_t serial_size = sizeof(Serial::bytes);

// How each type is encoded, and how many bytes a binary one carries.
struct Shape {
    bool known;
    char encoding;
    std::size_t size;
};

constexpr Shape shape_of(char type) {
    switch (static_cast<PacketType>(type)) {
    case PacketType::serial: return {true, binary_encoding, serial_size};
    case PacketType::entropy:
    case PacketType::session_key:
    case PacketType::long_term_key: return {true, binary_encoding, block_size};
    case PacketType::info:
    case PacketType::unexpected:
    case PacketType::rekey_needed:
    case PacketType::long_term_unlocked:
    case PacketType::long_term_failed:
    case PacketType::generators_bad: return {true, text_encoding, 0};
    }
    return {false, 0, 0};
}

// Bytes of the wire for a sentence: never more than what a log can stand.
std::string quoted(char c) {
    if (c >= ' ' && c <= '~')
        return {'\'', c, '\''};
    constexpr std::string_view digits = "0123456789abcdef";
    const auto byte = static_cast<Byte>(c);
    return {'0', 'x', digits[byte >> 4], digits[byte & 15]};
}

} // namespace

Result<Packet> decode_packet(FrameView frame) {
    const auto type = static_cast<char>(frame[content_offset]),
               encoding = static_cast<char>(frame[content_offset + 1]);
    const Shape shape = shape_of(type);
    if (!shape.known)
        return fail("unknown packet type " + quoted(type));
    if (encoding != shape.encoding)
        return fail("packet type " + quoted(type) + " in encoding " + quoted(encoding));

    const auto payload = frame.subspan<payload_offset, payload_size>();
    Packet packet{.type = static_cast<PacketType>(type),
                  .binary = encoding == binary_encoding,
                  .payload = {},
                  .text = {}};
    if (!packet.binary) {
        packet.text = as_text(payload);
        return packet;
    }

    const auto sub_code = decode_sub_code(payload[0], payload[1]);
    const std::size_t text_size = base64::encoded_size(shape.size);
    const auto size = base64::decode(payload.subspan(sub_code_size, text_size), packet.payload.bytes);
    if (!sub_code || size != shape.size)
        return fail("packet type " + quoted(type) + " without " + std::to_string(shape.size) +
                    " bytes of base64");
    const auto padding = payload.subspan(sub_code_size + text_size);
    if (std::any_of(padding.begin(), padding.end(), [](Byte c) { return c != ' '; }))
        return fail("packet type " + quoted(type) + " with more than " + std::to_string(shape.size) +
                    " bytes");
    packet.payload.sub_code = *sub_code;
    packet.payload.size = *size;
    return packet;
}

void encode_binary(std::span<Byte, frame_size> out, PacketType type, std::uint16_t sub_code, ByteView bytes,
                   const FrameMac& mac) {
    assert(sub_code <= last_sequence && bytes.size() <= sizeof(BinaryPayload::bytes));
    std::array<Byte, payload_size> payload;
    payload.fill(' ');
    const auto code = encode_sub_code(sub_code);
    std::copy(code.begin(), code.end(), payload.begin());
    base64::encode(bytes, std::span(payload).subspan(sub_code_size));
    encode_frame(out, static_cast<char>(type), binary_encoding, payload, mac);
}

void encode_text(std::span<Byte, frame_size> out, PacketType type, std::string_view text,
                 const FrameMac& mac) {
    assert(text.size() <= payload_size);
    std::array<Byte, payload_size> payload;
    payload.fill(' ');
    std::copy(text.begin(), text.end(), payload.begin());
    encode_frame(out, static_cast<char>(type), text_encoding, payload, mac);
}

std::array<Byte, 2> encode_sub_code(std::uint16_t code) {
    return {base64::encode_character(code & 63), base64::encode_character(static_cast<Byte>(code >> 6 & 63))};
}

std::optional<std::uint16_t> decode_sub_code(Byte first, Byte second) {
    const Byte low = base64::decode_character(first), high = base64::decode_character(second);
    if ((low | high) > 63)
        return std::nullopt;
    return static_cast<std::uint16_t>(high << 6 | low);
}

EntropyPad::EntropyPad(const Serial& serial, const SessionKey& key)
    : keyed_(entropy_key_state(serial.bytes, key.span(), "EntropyEncryptionState")) {}

void exclusive_or(std::span<const Byte, block_size> a, std::span<const Byte, block_size> b,
                  std::span<Byte, block_size> out) {
    for (std::size_t i = 0; i < block_size; i += sizeof(std::uint64_t)) {
        std::uint64_t x = 0, y = 0;
        std::memcpy(&x, &a[i], sizeof x);
        std::memcpy(&y, &b[i], sizeof y);
        x ^= y;
        std::memcpy(&out[i], &x, sizeof x);
    }
}

void EntropyPad::apply(std::uint16_t sequence, std::span<const Byte, block_size> in,
                       std::span<Byte, block_size> out) const {
    Skein256::Digest pad = keyed_.finish_with(encode_sub_code(sequence));
    exclusive_or(in, pad, out);
    wipe(pad);
}

bool EntropyPad::verify_and_make(FrameView frame, const FrameMac& mac,
                                 std::span<Byte, block_size> pad) const {
    auto both = Skein256::finish_both(keyed_, frame.subspan<payload_offset, sub_code_size>(), mac.keyed_,
                                      frame.subspan<content_offset, content_size>());
    const bool right = carries_mac(frame, mac_of(both.mac));
    std::memcpy(pad.data(), both.hash.data(), block_size);
    wipe(both.hash);
    wipe(both.mac);
    return right;
}

namespace {

SecretArray<32> derive(std::string_view ending, const Serial& serial, const SecretArray<32>& key,
                       std::span<const Byte, block_size> device_nonce, ByteView host_nonce) {
    Skein256 state = entropy_key_state(serial.bytes, key.span(), ending);
    state.update(device_nonce);
    state.update(host_nonce);
    Skein256::Digest digest = state.finish();
    const SecretArray<32> derived{std::span<const Byte, 32>(digest)};
    wipe(digest);
    return derived;
}

} // namespace

SessionKey derive_session_key(const Serial& serial, const LongTermKey& key,
                              std::span<const Byte, block_size> device_nonce, ByteView host_nonce) {
    return derive("ReKeyingState", serial, key, device_nonce, host_nonce);
}

LongTermKey derive_long_term_key(const Serial& serial, const MasterKey& key,
                                 std::span<const Byte, block_size> device_nonce, ByteView host_nonce) {
    return derive("LongTermReKeyingState", serial, key, device_nonce, host_nonce);
}

std::array<Byte, mac_size> long_term_nonce_mac(const Serial& serial, const MasterKey& key,
                                               ByteView host_nonce) {
    Skein256 state =
        entropy_key_state(serial.bytes, key.span(), "MessageAuthenticationCodeStateForLongTermReKeying");
    state.update(host_nonce);
    Skein256::Digest digest = state.finish_pad();
    const auto mac = mac_of(digest);
    wipe(digest);
    return mac;
}

namespace {

std::string command(char letter, ByteView bytes, std::string_view terminator) {
    std::string text(1 + base64::encoded_size(bytes.size()), letter);
    base64::encode(bytes, {reinterpret_cast<Byte*>(text.data()) + 1, text.size() - 1});
    return text.append(terminator);
}

} // namespace

std::string session_rekey_command(ByteView host_nonce) {
    return command('K', host_nonce, ".");
}

std::string long_term_mac_command(std::span<const Byte, mac_size> mac) {
    return command('M', mac, "");
}

std::string long_term_rekey_command(ByteView host_nonce) {
    return command('L', host_nonce, ".");
}

} // namespace ekey::entropykey
