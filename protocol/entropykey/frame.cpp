#include "protocol/entropykey/frame.h"

#include <algorithm>
#include <utility>

#include "protocol/entropykey/base64.h"

namespace ekey::entropykey {

namespace {
constexpr std::array<Byte, 2> frame_start{'*', ' '}, frame_end{'\r', '\n'};
constexpr std::size_t frame_end_offset = mac_offset + mac_text_size;
static_assert(frame_end_offset + frame_end.size() == frame_size);
static_assert(content_offset + content_size == mac_offset && payload_offset + payload_size == mac_offset);
} // namespace

FrameMac::FrameMac(const Serial& serial, const SessionKey& key)
    : keyed_(entropy_key_state(serial.bytes, key.span(), "MessageAuthenticationCodeState")) {}

std::array<Byte, mac_size> mac_of(const Skein256::Digest& digest) {
    return {digest[0], digest[1], digest[2], digest[29], digest[30], digest[31]};
}

bool carries_mac(FrameView frame, const std::array<Byte, mac_size>& mac) {
    std::array<Byte, mac_size> sent;
    if (base64::decode(frame.subspan<mac_offset, mac_text_size>(), sent) != mac_size)
        return false;
    std::uint64_t a = 0, b = 0; // one comparison of words takes the same time whatever they hold
    std::memcpy(&a, sent.data(), mac_size);
    std::memcpy(&b, mac.data(), mac_size);
    return a == b;
}

std::array<Byte, mac_size> FrameMac::compute(std::span<const Byte, content_size> content) const {
    Skein256::Digest digest = keyed_.finish_pad_with(content);
    const auto mac = mac_of(digest);
    wipe(digest);
    return mac;
}

bool FrameMac::verify(FrameView frame) const {
    return carries_mac(frame, compute(frame.subspan<content_offset, content_size>()));
}

FrameReader::Step FrameReader::next(ByteView in) {
    std::size_t used = 0;
    while (used < in.size()) {
        if (held_size_ == 0 &&
            in.size() - used >= frame_size) { // the usual case, with a size that the compiler knows
            std::memcpy(held_.data(), in.data() + used, frame_size);
            held_size_ = frame_size;
            used += frame_size;
        } else {
            const std::size_t size = std::min(frame_size - held_size_, in.size() - used);
            std::memcpy(held_.data() + held_size_, in.data() + used, size);
            held_size_ += size;
            used += size;
        }
        if (!plausible()) {
            resynchronise();
        } else if (held_size_ == frame_size) {
            held_size_ = 0;
            synchronised_ = true;
            ++frames_;
            return {used, &held_};
        }
    }
    return {used, nullptr};
}

bool FrameReader::plausible() const {
    if (held_size_ > 0 && held_[0] != frame_start[0])
        return false;
    if (held_size_ > 1 && held_[1] != frame_start[1])
        return false;
    return held_size_ < frame_size ||
           std::equal(frame_end.begin(), frame_end.end(), held_.begin() + frame_end_offset);
}

void FrameReader::resynchronise() {
    // A frame can begin at any later byte: the short frame before it ended early, or "* " stood in garbage.
    do {
        const auto end = held_.begin() + static_cast<std::ptrdiff_t>(held_size_);
        skip(static_cast<std::size_t>(std::find(held_.begin() + 1, end, frame_start[0]) - held_.begin()));
    } while (!plausible());
}

void FrameReader::skip(std::size_t bytes) {
    if (std::exchange(synchronised_, false)) {
        ++framing_errors_;
        skipped_of_error_ = 0;
    }
    skipped_of_error_ += bytes;
    if (skipped_of_error_ > frame_size) { // at most once a call: no more is held
        ++framing_errors_;
        skipped_of_error_ -= frame_size;
    }
    skipped_bytes_ += bytes;
    held_size_ -= bytes;
    std::memmove(held_.data(), held_.data() + bytes, held_size_);
}

void FrameReader::clear() {
    held_size_ = 0;
    synchronised_ = true;
}

void encode_frame(std::span<Byte, frame_size> out, char type, char encoding,
                  std::span<const Byte, payload_size> payload, const FrameMac& mac) {
    std::copy(frame_start.begin(), frame_start.end(), out.begin());
    out[content_offset] = static_cast<Byte>(type);
    out[content_offset + 1] = static_cast<Byte>(encoding);
    std::copy(payload.begin(), payload.end(), out.begin() + payload_offset);
    base64::encode(mac.compute(out.subspan<content_offset, content_size>()),
                   out.subspan<mac_offset, mac_text_size>());
    std::copy(frame_end.begin(), frame_end.end(), out.begin() + frame_end_offset);
}

} // namespace ekey::entropykey
