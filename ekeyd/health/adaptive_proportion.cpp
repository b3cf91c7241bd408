#include "ekeyd/health/adaptive_proportion.h"

#include <algorithm>
#include <bit>

#include "ekeyd/health/vector.h"

namespace ekey::health {
namespace {

// How many of at most one window's samples equal `value`.
unsigned count_equal(const Byte* samples, std::size_t size, Byte value) {
    constexpr std::size_t width = sizeof(Bytes16);
    static_assert(AdaptiveProportion::window / width < 256, "each lane counts in one byte");
    const Bytes16 wanted = Bytes16{} + value;
    Bytes16 lanes{};
    std::size_t i = 0;
    for (; i + width <= size; i += width) {
        lanes -= static_cast<Bytes16>(load<Bytes16>(samples + i) == wanted); // a match is all ones: -1
    }
    unsigned count = 0;
    if (any(lanes)) {
        // Even and odd bytes to pairs, which are wide enough for a window's count.
        const Counts8 pairs = std::bit_cast<Counts8>(lanes);
        count = sum((pairs & 0xff) + (pairs >> 8));
    }
    for (; i < size; ++i) {
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
        const unsigned matches = count_equal(samples.data() + i, span, value_);
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
