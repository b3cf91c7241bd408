// What frames carry: encode and decode of each packet, both directions beside each other.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/bytes.h"
#include "protocol/entropykey/frame.h"
#include "protocol/result.h"

namespace ekey::entropykey {

enum class PacketType : char {
    serial = 'S',
    info = 'I',
    unexpected = 'W',
    entropy = 'E',
    rekey_needed = 'k',
    session_key = 'K',
    long_term_unlocked = 'M',
    long_term_key = 'L',
    long_term_failed = 'l',
    generators_bad = 'B',
};

inline constexpr std::size_t block_size = 32;
inline constexpr std::uint16_t last_sequence = 4095;

// A binary payload: a 12-bit sub-code (two characters, least significant six bits first) and up to 36 bytes.
struct BinaryPayload {
    std::uint16_t sub_code = 0; // 0..4095
    std::size_t size = 0;
    std::array<Byte, 36> bytes{};
};
struct Packet {
    PacketType type;
    bool binary;
    BinaryPayload payload; // when binary
    std::string_view text; // when text: 50 characters of the frame, trailing spaces included
};
// Errors: unknown type or encoding, a type in the wrong encoding, bad base64, a length that the type does not
// have.
Result<Packet> decode_packet(FrameView frame);
// Device side. `bytes` at most 36; text at most 50 characters.
void encode_binary(std::span<Byte, frame_size> out, PacketType type, std::uint16_t sub_code, ByteView bytes,
                   const FrameMac& mac);
void encode_text(std::span<Byte, frame_size> out, PacketType type, std::string_view text,
                 const FrameMac& mac);

std::array<Byte, 2> encode_sub_code(std::uint16_t code);
std::optional<std::uint16_t> decode_sub_code(Byte first, Byte second);

void exclusive_or(std::span<const Byte, block_size> a, std::span<const Byte, block_size> b,
                  std::span<Byte, block_size> out);

// The pads of entropy frames under one session key. Holds key material: keep it in locked memory.
class EntropyPad {
  public:
    EntropyPad(const Serial& serial, const SessionKey& key);
    // out = in XOR pad(sequence). Its own inverse.
    void apply(std::uint16_t sequence, std::span<const Byte, block_size> in,
               std::span<Byte, block_size> out) const;

    // Verifies an entropy frame and makes its pad, which takes half the time of one after the other. `pad` is
    // for use only when the answer is true, and secret.
    bool verify_and_make(FrameView frame, const FrameMac& mac, std::span<Byte, block_size> pad) const;

  private:
    Skein256 keyed_;
};

SessionKey derive_session_key(const Serial& serial, const LongTermKey& key,
                              std::span<const Byte, block_size> device_nonce, ByteView host_nonce);
LongTermKey derive_long_term_key(const Serial& serial, const MasterKey& key,
                                 std::span<const Byte, block_size> device_nonce, ByteView host_nonce);
// What the M command carries: first and last three bytes.
std::array<Byte, mac_size> long_term_nonce_mac(const Serial& serial, const MasterKey& key,
                                               ByteView host_nonce);

// Info frames: blocks separated by spaces. Unknown blocks are skipped; a malformed one spoils only itself.
struct FipsReport {
    std::uint32_t blocks, failures, monobit, poker, runs;
};
struct GeneratorReport {
    std::uint32_t raw_bytes, raw_left, raw_right, raw_xor; // shannons over raw_bytes
    std::uint32_t debiased_left_bytes, debiased_left;
    std::uint32_t debiased_right_bytes, debiased_right;
    char failure; // '0' none; see failure_name()
};
struct InfoReport {
    std::optional<std::uint32_t> temperature; // 0.1 K
    std::optional<std::uint32_t> voltage;     // mV
    std::optional<FipsReport> fips;
    std::optional<GeneratorReport> generators;
};
InfoReport decode_info(std::string_view text);
std::string encode_info(const InfoReport& report); // at most 50 characters; what does not fit is our own bug

// Host to device: each command as bytes to write.
inline constexpr Byte reset_command = 0x03;
std::string session_rekey_command(ByteView host_nonce);             // "K...."
std::string long_term_mac_command(std::span<const Byte, mac_size>); // "M........"
std::string long_term_rekey_command(ByteView host_nonce);           // "L...."

// The S report's failure codes, as people and as 1.1.5's efm_... words.
struct FailureName {
    std::string_view sentence; // "left generator is no longer random"
    std::string_view token;    // "efm_raw_left_bad"
};
FailureName failure_name(char code);

} // namespace ekey::entropykey
