// The servers that are compared, each in a process of its own on one core.
#pragma once

#include <string>

#include <sys/types.h>

namespace ekey::bench {

enum class Kind {
    floor,    // a bare epoll loop: read() what came, write() 32 bytes from a static buffer
    listener, // ekeyd's listener and pool, filled straight from a ChaCha20 stream
    chain,    // the same, with health tests, conditioning and the XOR between stream and pool
    drbg,     // a listener with output=drbg on such a pool
};
const char* name(Kind kind);

class Server {
  public:
    // Listens at "unix:/path" or "tcp:127.0.0.1:0", on core 0. Throws when it cannot.
    Server(Kind kind, const std::string& address);
    ~Server(); // ends the process
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    const std::string& address() const { return address_; } // with the port that was chosen
    double cpu_seconds() const;                             // used so far
    double resident_kb() const;                             // VmRSS

  private:
    pid_t process_ = -1;
    std::string address_;
};

// Nanoseconds of processor time for 32 bytes from the pool and all that fills it, without sockets and
// clients.
double pool_cost(Kind kind); // any but Kind::floor

void pin_to_core(unsigned core); // the calling process; no effect on a machine with one core

} // namespace ekey::bench
