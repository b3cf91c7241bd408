// The servers that are compared, each in a process of its own on one core.
#pragma once

#include <string>

#include <sys/types.h>

#include "ekeyd/runtime/handle.h"

namespace ekey::bench {

inline constexpr std::size_t read_size = 32; // bytes

enum class Kind {
    floor,    // a bare epoll loop: read() what came, write() as much as is asked for from a static buffer
    listener, // ekeyd's listener and pool, filled straight from a ChaCha20 stream
    chain,    // the same, with health tests, conditioning and the XOR between stream and pool
    drbg,     // a listener with output=drbg on such a pool
};
const char* name(Kind kind);

class Server {
  public:
    // Listens at "unix:/path" or "tcp:127.0.0.1:0", on core 0. Throws when it cannot. A sealed: address needs
    // the file of the server's key.
    Server(Kind kind, const std::string& address, const std::string& identity = "");
    ~Server(); // ends the process
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    const std::string& address() const { return address_; } // with the port that was chosen
    double cpu_seconds() const;                             // used so far
    struct Cpu {
        double all = 0, user = 0, kernel = 0; // seconds used so far; the last two in ticks of 10 ms or so
    };
    Cpu cpu() const;
    double resident_kb() const; // VmRSS

  private:
    pid_t process_ = -1;
    std::string address_;
};

// Nanoseconds of processor time for 32 bytes from the pool and all that fills it, without sockets and
// clients.
double pool_cost(Kind kind); // any but Kind::floor
// The same for `size` bytes of ChaCha20 alone, by the kilobyte, and of the generator (fast key erasure).
double cipher_cost(std::size_t size);
double generator_cost(std::size_t size);

// In the server's process: serves until it is killed, and says its address through `ready` once it listens.
[[noreturn]] void run_floor(const std::string& address, Fd ready);
void report(const Fd& ready, const std::string& address);

void pin_to_core(unsigned core); // the calling process; no effect on a machine with one core

} // namespace ekey::bench
