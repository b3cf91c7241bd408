// The client's side of EGD: requests out, answers in. No socket, no clock.
//
// Use: encode_request() into what is sent, expect() the same request, and feed what comes back to receive().
#pragma once

#include <array>
#include <string_view>

#include "protocol/egd/message.h"

namespace ekey::egd {

// Writes a request (any but a write) and returns its size, 1 or 2 bytes. `out` holds at least max_request
// bytes.
std::size_t encode_request(const Request& request, ByteSpan out);

// Writes a write of `bytes` (0..255 of them) that the client claims to be worth `bits`; returns 4 + their
// number, the size that `out` must at least have. Nothing answers it.
std::size_t encode_write(std::uint16_t bits, ByteView bytes, ByteSpan out);

// Reads the answers to pipelined requests, in any split. It keeps no random byte: those are handed on as they
// come, as views of the input. Counts from the server are not believed.
class AnswerReader {
  public:
    static constexpr std::size_t max_outstanding = 32; // requests in flight; ekeyd-egd-linux has up to four

    // Notes a request that was sent. False (and nothing noted) when max_outstanding are in flight.
    bool expect(const Request& request);
    std::size_t outstanding() const { return count_; }

    enum class Event : Byte {
        need_more,  // all of the input is used up
        level,      // `level` bits are available
        bytes,      // `bytes` is a piece of a read's answer; `complete` with its last piece
        process_id, // `process_id` is the server's
        error,      // the stream breaks the protocol: close the connection
    };
    struct Step {
        std::size_t used = 0; // bytes of `in` consumed; after an error nothing more ever is
        Event event = Event::need_more;
        Request request;         // the request that is answered
        std::uint32_t level = 0; // bits, as the server says
        ByteView bytes;          // a view of `in`; empty (and complete) when the server had none to give
        bool complete = false;
        std::string_view process_id; // digits, or "-1" of ekeyd 1.1.5; valid until the next call
        const char* error = nullptr; // one sentence
    };
    // Consumes at most one answer, or one piece of one. Call until need_more or error. Accepts any bytes.
    //
    // Errors: bytes that nothing was asked for; a non-blocking read's count above what was asked; a process
    // id that is no number of at most 20 characters. A blocking read of 0 bytes has an answer of no bytes:
    // receive() reports it even when `in` is empty.
    Step receive(ByteView in);

  private:
    Step fail(std::size_t used, const char* why);
    Step bytes_of(const Request& request, std::size_t used, ByteView in);
    void finish();

    std::array<Request, max_outstanding> requests_{}; // a ring: `first_` is the one that is being answered
    std::size_t first_ = 0, count_ = 0;
    bool begun_ = false;        // the current answer's count has been read
    std::size_t remaining_ = 0; // bytes of the current answer that are to come
    std::uint32_t number_ = 0;  // of a level that is being read
    std::array<char, max_process_id> text_{};
    std::size_t length_ = 0;
    const char* error_ = nullptr;
};

} // namespace ekey::egd
