#include "ekeyd/health/repetition_count.h"

#include <algorithm>

#include "ekeyd/health/vector.h"

namespace ekey::health {

namespace {

// Whether three equal samples stand in a row, from the third sample on. At least 18 samples.
inline bool has_three_equal(const Byte* samples, std::size_t size) {
    const auto at = [samples](std::size_t i) {
        const Bytes16 middle = load<Bytes16>(samples + i - 1);
        return static_cast<Bytes16>((load<Bytes16>(samples + i) == middle) &
                                    (middle == load<Bytes16>(samples + i - 2)));
    };
    Bytes16 found = at(size - sizeof(Bytes16)); // overlaps with what the others see
    for (std::size_t i = 2; i + sizeof(Bytes16) <= size; i += sizeof(Bytes16)) {
        found |= at(i);
    }
    return any(found);
}

} // namespace

inline bool RepetitionCount::test_one(Byte sample) {
    run_ = sample == last_ ? run_ + 1 : 1;
    last_ = sample;
    return run_ < cutoff_;
}

std::size_t RepetitionCount::test(ByteView samples) {
    const std::size_t size = samples.size();
    std::size_t i = 0;
    // A run from before can only go on in the first two samples. If no three in a row are equal after them,
    // which is the rule, no run reaches the cut-off, and the last two tell all that is left of the past.
    const bool long_enough = size >= 2 + sizeof(Bytes16);
    for (const std::size_t end = long_enough ? 2 : size; i < end; ++i) {
        if (!test_one(samples[i])) {
            return i;
        }
    }
    if (long_enough && !has_three_equal(samples.data(), size)) {
        last_ = samples[size - 1];
        run_ = last_ == samples[size - 2] ? 2 : 1;
        return size;
    }
    for (; i < size; ++i) {
        if (!test_one(samples[i])) {
            return i;
        }
    }
    return size;
}

} // namespace ekey::health
