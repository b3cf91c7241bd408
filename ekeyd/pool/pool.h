// The pool: conditioned bytes until someone takes them, and the queue of those who wait for them.
// Promises 3 (only what it holds), 4 (a byte taken is erased) and 7 (turns).
#pragma once

#include <cstdint>

#include "ekeyd/pool/turns.h"
#include "ekeyd/runtime/secret.h"
#include "protocol/bytes.h"

namespace ekey {

class Pool {
  public:
    // Capacity in bytes, in locked memory: at least 256 (the longest EGD answer and its header). Throws when the memory cannot be locked.
    explicit Pool(std::size_t capacity);

    std::size_t size() const;     // bytes held
    std::size_t capacity() const; // bytes
    std::size_t room() const;     // bytes that put() would take

    // Stores bytes; `bytes` must fit in room(). Waiters are served by the next serve(), not here.
    void put(ByteView bytes);

    // For those who do not wait: bytes that may be taken now, past those who wait. 0 while anyone waits.
    std::size_t spare() const;
    // Moves out.size() bytes to `out` and erases them here; false (and nothing moved) when fewer are held.
    bool take(ByteSpan out);

    Turns& turns(); // where those who wait queue up
    void serve();   // lets those who wait take what is there, in turns

    struct Counters {
        std::uint64_t bytes_in = 0, bytes_out = 0;
    };
    const Counters& counters() const;
};

} // namespace ekey
