// The EGD protocol's commands and sizes: what both sides share. All numbers are big-endian.
// Source: the protocol of EGD (egd.pl), as ekeyd 1.1.5, PRNGD and ESDM serve it.
//
//     level          00                        answer: U32, bits available
//     read           01 n                      answer: U8 m, then m bytes, m <= n; never waits
//     read_blocking  02 n                      answer: n bytes, when there are n
//     write          03 U16 bits, U8 n, bytes  no answer
//     process_id     04                        answer: U8 length, then ASCII digits
//
// Requests may be pipelined; answers come in their order and carry no tag.
#pragma once

#include "protocol/bytes.h"

namespace ekey::egd {

enum class Command : Byte { level = 0, read = 1, read_blocking = 2, write = 3, process_id = 4 };

// One request. `count` is n of read and read_blocking, 0..255; otherwise 0.
struct Request {
    Command command = Command::level;
    Byte count = 0;
    bool operator==(const Request&) const = default;
};

inline constexpr std::size_t max_count = 255;            // n is one byte
inline constexpr std::size_t max_request = 2;            // every request but a write
inline constexpr std::size_t write_header = 4;           // 03, bits, n
inline constexpr std::size_t max_answer = 1 + max_count; // a non-blocking read with its count
inline constexpr std::size_t max_process_id = 20; // digits of a 64-bit number: far more than any real one

} // namespace ekey::egd
