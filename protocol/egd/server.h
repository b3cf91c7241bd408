// The server's side of EGD: requests in, answers out. No socket, no clock, and four bytes of state a client.
#pragma once

#include "protocol/egd/message.h"

namespace ekey::egd {

// Parses one client's stream of requests, in any split. It keeps no byte of its input.
class RequestParser {
  public:
    enum class Event : Byte {
        need_more, // all of the input is used up
        request,   // `request` is complete
        written,   // `written` is a piece of what a write carries: to be dropped or mixed in, never credited
        error,     // no such command: the stream has no next boundary, so the connection is to be closed
    };
    struct Step {
        std::size_t used; // bytes of `in` consumed; after an error nothing more ever is
        Event event;
        Request request;
        ByteView written; // a view of `in`, never empty
    };
    // Consumes at most one request, or one piece of a write. Call until need_more or error. Accepts any
    // bytes.
    Step parse(ByteView in);

    // True in the middle of a request: an end of the stream here has cut something off.
    bool inside_request() const { return state_ != State::command; }

    // Writes the bytes after which a new parser is where this one is, and returns their number, 0 to
    // write_header. After an error that is one byte which is no command. `out` holds at least write_header.
    std::size_t encode_position(ByteSpan out) const;

  private:
    enum class State : Byte {
        command,
        read_count,
        blocking_count,
        write_bits_high,
        write_bits_low,
        write_count,
        payload,
        failed
    };
    State state_ = State::command;
    Byte remaining_ = 0; // of a write's bytes
};

// Answers, encoded in place; each returns its size in bytes. A blocking read's answer is its bytes alone.

// `bits` above what U32 holds are said as the largest U32. `out` holds at least 4 bytes.
std::size_t encode_level(std::uint64_t bits, ByteSpan out);

// The count that stands before the m bytes of a non-blocking read's answer.
inline constexpr std::size_t count_size = 1;

// The server's process id in digits; a negative one is our own bug (assertion). `out` holds at least
// 1 + max_process_id bytes. ekeyd 1.1.5 answers "-1", which is no digit: EGD's own answer is the id.
std::size_t encode_process_id(std::int64_t id, ByteSpan out);

} // namespace ekey::egd
