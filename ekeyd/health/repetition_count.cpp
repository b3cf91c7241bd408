#include "ekeyd/health/repetition_count.h"

#include <algorithm>

#include "ekeyd/health/vector.h"

namespace ekey::health {

bool RepetitionCount::test_one(Byte sample) {
    run_ = sample == last_ ? run_ + 1 : 1;
    last_ = sample;
    return run_ < cutoff_;
}

std::size_t RepetitionCount::test(ByteView samples) {
    constexpr std::size_t width = sizeof(Bytes16);
    const std::size_t size = samples.size();
    if (size == 0) {
        return size;
    }
    if (!test_one(samples[0])) {
        return 0;
    }
    for (std::size_t i = 1; i < size;) {
        const std::size_t end = std::min(i + width, size);
        // Sixteen samples of a good source seldom hold two equal neighbours; where there are none, all that
        // is left of the past is the last sample. At the end the sixteen overlap with what was tested before.
        if (end > width) {
            const Byte* at = samples.data() + end - width;
            if (!any(load<Bytes16>(at) == load<Bytes16>(at - 1))) {
                last_ = samples[end - 1];
                run_ = 1;
                i = end;
                continue;
            }
        }
        for (; i < end; ++i) {
            if (!test_one(samples[i])) {
                return i;
            }
        }
    }
    return size;
}

} // namespace ekey::health
