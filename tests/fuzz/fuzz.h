// What every fuzz target has: the entry that libFuzzer (or replay.cpp) calls, and the means to say what must
// hold and to spend the input.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "protocol/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace ekey::fuzz {

// A broken promise ends the process, and libFuzzer keeps the input that broke it. Not assert(), so that it
// holds in every kind of build.
inline void must(bool holds, const char* promise) {
    if (!holds) {
        std::fprintf(stderr, "BROKEN: %s\n", promise);
        std::abort();
    }
}

// The fuzzer's input, spent from the front. When it is used up all further bytes are zero.
class Input {
  public:
    explicit Input(ByteView bytes) : bytes_(bytes) {}

    bool empty() const { return bytes_.empty(); }
    Byte byte() {
        const ByteView one = take(1);
        return one.empty() ? Byte{0} : one[0];
    }
    std::uint16_t word() {
        const unsigned high = byte();
        return static_cast<std::uint16_t>(high << 8 | byte());
    }
    // At most that many: fewer at the end.
    ByteView take(std::size_t most) {
        const ByteView front = bytes_.first(std::min(most, bytes_.size()));
        bytes_ = bytes_.subspan(front.size());
        return front;
    }
    ByteView rest() { return take(bytes_.size()); }

  private:
    ByteView bytes_;
};

// Cuts a stream into pieces whose sizes follow from one byte of the input: 0 is whole, 1 is byte by byte.
class Cuts {
  public:
    explicit Cuts(Byte seed) : seed_(seed), state_(seed) {}
    // The next piece, taken off the front of `stream`; never empty while the stream is not.
    ByteView next(ByteView& stream) {
        state_ = state_ * 1103515245u + 12345u; // C's example generator
        const std::size_t size = seed_ == 0 ? stream.size() : seed_ == 1 ? 1 : 1 + (state_ >> 16) % seed_;
        const ByteView piece = stream.first(std::min(size, stream.size()));
        stream = stream.subspan(piece.size());
        return piece;
    }

  private:
    std::uint32_t seed_, state_;
};

// Whether `part` lies within `whole`: a parser's views must.
inline bool inside(ByteView part, ByteView whole) {
    return part.empty() ||
           (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

} // namespace ekey::fuzz
