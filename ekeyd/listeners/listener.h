// A socket on which clients ask for bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ekeyd/config/address.h"
#include "ekeyd/pool/pool.h"
#include "ekeyd/runtime/loop.h"
#include "protocol/result.h"

namespace ekey {

class Listener {
  public:
    struct Counters {
        std::uint64_t accepted = 0, refused = 0, closed = 0; // refused: too many clients, not allowed
        std::uint64_t requests = 0, bytes_served = 0, protocol_errors = 0;
        std::uint64_t clients = 0, waiting = 0; // now
    };
    Listener() = default;
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    virtual ~Listener() = default; // closes its clients; removes a Unix socket that is still its own

    virtual const std::string& address() const = 0; // as it was given
    virtual Counters counters() const = 0;
};

// Binds and listens, or says why not (in use, not permitted, bad parameter). The pool must outlive the listener.
Result<std::unique_ptr<Listener>> make_listener(Loop& loop, Pool& pool, const config::Address& address);

} // namespace ekey
