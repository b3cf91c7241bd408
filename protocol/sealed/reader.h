// Finds the messages in a stream: each has its length before it, two bytes, big-endian.
#pragma once

#include <vector>

#include "protocol/bytes.h"

namespace ekey::sealed {

inline constexpr std::size_t length_size = 2;

// Writes a message's length, at most 65,535, to the front of `out`.
void write_length(std::size_t size, ByteSpan out);

class MessageReader {
  public:
    // Messages are at most `longest` bytes.
    explicit MessageReader(std::size_t longest) : longest_(longest) {}

    enum class Event : Byte { need_more, message, too_long };
    struct Step {
        std::size_t used = 0; // bytes of the input consumed, never beyond the end of a message
        Event event = Event::need_more;
        ByteView message; // a view of the input or of the reader; valid until the next call
    };
    // Consumes at most one message. Takes any bytes, in any split. Keeps what there is of an incomplete
    // message, and no memory between messages. After too_long nothing more is consumed.
    Step receive(ByteView in);
    // The stream would be cut off here.
    bool within() const { return !held_.empty(); }

  private:
    std::size_t longest_;
    std::vector<Byte> held_; // the length and what there is of a message; ciphertext, which is no secret
    bool given_ = false;     // held_ was given out
};

} // namespace ekey::sealed
