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
    // Where it listens: "unix:/path", or "tcp:127.0.0.1:40001" with the port that the kernel chose for port 0
    // (of a name with several addresses, the first).
    virtual std::string bound_address() const = 0;
    virtual Counters counters() const = 0;
};

// Says what is wrong with the text of an address, before anything is opened.
Result<void> check_listener(const config::Address& address);

// Binds and listens, or says why not (in use, not permitted, bad parameter). Loop and pool must outlive the
// listener. A host name is looked up here, and waited for. Throws when no memory can be locked.
//
//     unix:/path[,mode=OCTAL][,user=NAME][,group=NAME]    mode 0600 by default
//     tcp:HOST:PORT                                       port 0: the kernel chooses
//     vsock:CID:PORT                                      CID a number, any, local or host
//     all: max-clients=N (16384), output=full-entropy|drbg
//     with output=drbg: max-age=SECONDS (3600), prediction-resistance=yes|no
Result<std::unique_ptr<Listener>> make_listener(Loop& loop, Pool& pool, const config::Address& address);

} // namespace ekey
