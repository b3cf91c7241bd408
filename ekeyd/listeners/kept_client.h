// A client whose connection goes from one process to the next.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>

#include "ekeyd/runtime/handle.h"
#include "protocol/bytes.h"

namespace ekey {

// What a client has sent and not been answered: EGD requests, as if it sent them now. So whoever takes it
// over needs to know nothing of how it was served, and what is wrong in them costs that client.
class Owed {
  public:
    // A blocking read that waits, and 64 bytes of requests behind it; the rest is in the client's socket.
    static constexpr std::size_t capacity = 2 + 64;

    ByteView view() const { return {bytes_.data(), size_}; }
    bool fits(std::size_t more) const { return more <= capacity - size_; }
    void add(ByteView more) { // which must fit
        assert(fits(more.size()));
        std::copy(more.begin(), more.end(), bytes_.begin() + size_);
        size_ = static_cast<Byte>(size_ + more.size());
    }

  private:
    std::array<Byte, capacity> bytes_{};
    Byte size_ = 0;
};

struct KeptClient {
    Fd socket;
    Owed owed;
};

} // namespace ekey
