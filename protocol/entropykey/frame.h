// Frames, device to host: exactly 64 bytes, "* " content(52) MAC(8, base64 of 6 bytes) CR LF.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "protocol/bytes.h"
#include "protocol/entropykey/keys.h"
#include "protocol/skein256.h"

namespace ekey::entropykey {

inline constexpr std::size_t frame_size = 64;
inline constexpr std::size_t content_offset = 2, content_size = 52; // what the MAC covers
inline constexpr std::size_t payload_offset = 4, payload_size = 50;
inline constexpr std::size_t mac_offset = 54, mac_text_size = 8, mac_size = 6;

using FrameView = std::span<const Byte, frame_size>;
using FrameBytes = std::array<Byte, frame_size>;

// Computes frame MACs (PMS state, final-pad, first and last three bytes) under one session key: the keyed
// state is made once, each frame costs two blocks. Holds key material: keep it in locked memory.
class FrameMac {
  public:
    FrameMac(const Serial& serial, const SessionKey& key);
    std::array<Byte, mac_size> compute(std::span<const Byte, content_size> content) const;
    // Constant time in the MAC.
    bool verify(FrameView frame) const;

  private:
    friend class EntropyPad;
    Skein256 keyed_;
};

// First and last three bytes: what is sent of a MAC.
std::array<Byte, mac_size> mac_of(const Skein256::Digest& digest);
// Whether the frame's MAC is `mac`, in time that does not depend on either's value.
bool carries_mac(FrameView frame, const std::array<Byte, mac_size>& mac);

// Finds frames in a byte stream and resynchronises: bytes before "* ", short frames and 64 bytes without CR
// LF at the end are skipped and counted. Its buffer is one frame, because a frame is the most that must be
// seen whole.
class FrameReader {
  public:
    struct Step {
        std::size_t used;        // bytes of `in` consumed, at least 1 while it is not empty
        const FrameBytes* frame; // null: need more. Valid until the next call.
    };
    // Accepts any bytes. At most one frame a call; without a frame all of `in` was used.
    Step next(ByteView in);
    void clear(); // forgets a partial frame, and that bytes were being skipped; counters stay

    std::uint64_t frames() const { return frames_; } // frames found
    // Times that synchronisation was lost, and one for each further 64 bytes until it was there again: what
    // is broken without a pause counts as so many frames.
    std::uint64_t framing_errors() const { return framing_errors_; }
    std::uint64_t skipped_bytes() const { return skipped_bytes_; }

  private:
    bool plausible() const; // what is held could be (the beginning of) a frame
    void resynchronise();   // drops from the front until it could
    void skip(std::size_t bytes);

    FrameBytes held_{};
    std::size_t held_size_ = 0;
    bool synchronised_ = true;
    std::size_t skipped_of_error_ = 0; // bytes since the newest framing error, while not synchronised
    std::uint64_t frames_ = 0, framing_errors_ = 0, skipped_bytes_ = 0;
};

// Device side: builds one frame. `payload` is 50 bytes, padded already.
void encode_frame(std::span<Byte, frame_size> out, char type, char encoding,
                  std::span<const Byte, payload_size> payload, const FrameMac& mac);

} // namespace ekey::entropykey
