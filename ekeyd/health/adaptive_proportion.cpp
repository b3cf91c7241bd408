#include "ekeyd/health/adaptive_proportion.h"

#include <algorithm>

#include "ekeyd/health/vector.h"

namespace ekey::health {
namespace {

// How many of at most one window's samples equal `value`.
unsigned count_equal(ByteView samples, Byte value) {
    constexpr std::size_t width = sizeof(Bytes16);
    static_assert(AdaptiveProportion::window / width < 256, "each lane counts in one byte");
    const Bytes16 wanted = Bytes16{} + value;
    Bytes16 lanes{};
    std::size_t i = 0;
    for (; i + width <= samples.size(); i += width) {
        lanes -= static_cast<Bytes16>(load<Bytes16>(samples.data() + i) == wanted); // a match is all ones: -1
    }
    // Bytes to pairs, pairs to one sum; a window's count fits into each 16-bit pair.
    std::uint64_t half[2];
    std::memcpy(half, &lanes, sizeof half);
    constexpr std::uint64_t low_bytes = 0x00ff00ff00ff00ff;
    const std::uint64_t pairs = (half[0] & low_bytes) + ((half[0] >> 8) & low_bytes) + (half[1] & low_bytes) +
                                ((half[1] >> 8) & low_bytes);
    auto count = static_cast<unsigned>((pairs * 0x0001000100010001) >> 48);
    for (; i < samples.size(); ++i) {
        count += samples[i] == value;
    }
    return count;
}

} // namespace

std::size_t AdaptiveProportion::test(ByteView samples) {
    std::size_t i = 0;
    while (i < samples.size()) {
        if (position_ == 0) {
            value_ = samples[i++];
            count_ = position_ = 1;
            continue;
        }
        const std::size_t span = std::min<std::size_t>(samples.size() - i, window - position_);
        const unsigned matches = count_equal(samples.subspan(i, span), value_);
        if (count_ + matches >= cutoff_) {
            for (;; ++i) {
                count_ += samples[i] == value_;
                if (count_ >= cutoff_) {
                    return i;
                }
            }
        }
        count_ += matches;
        position_ = (position_ + static_cast<unsigned>(span)) % window;
        i += span;
    }
    return i;
}

} // namespace ekey::health
