// A load of EGD clients: each asks for a blocking read of 32 bytes, and again as soon as it has the answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ekeyd/runtime/handle.h"
#include "protocol/bytes.h"

namespace ekey::bench {

inline constexpr std::size_t read_size = 32;

class Load {
  public:
    // Connects `count` clients to "unix:/path" or "tcp:127.0.0.1:PORT". Throws when it cannot.
    Load(const std::string& address, std::size_t count);

    struct Round {
        std::uint64_t answers = 0;
        double seconds = 0;
        std::uint64_t fewest = 0, most = 0; // answers to one client
    };
    // All clients ask for that long; returns once every one of them has its last answer.
    Round run(Duration duration);

  private:
    struct Client {
        Fd socket;
        std::size_t got = 0; // bytes of the current answer
        std::uint64_t answers = 0;
    };
    static void ask(const Client& client);

    Fd epoll_;
    std::vector<Client> clients_;
};

} // namespace ekey::bench
