// Loads of EGD clients, in one process each, that ask again as soon as they have their answer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ekeyd/runtime/handle.h"
#include "protocol/bytes.h"

namespace ekey::bench {

// What came of a round. Crosses a pipe as it is.
struct Round {
    std::uint64_t answers = 0, bytes = 0;
    double seconds = 0;
    std::uint64_t fewest = 0, most = 0;         // answers to one client
    double jain = 1;                            // Jain's index over the bytes that each client received
    double p50 = 0, p99 = 0, p999 = 0, max = 0; // seconds from a request to the whole answer
};

struct Demand {
    std::vector<std::size_t> sizes = {32}; // bytes a blocking read, 1..255; dealt out to the clients in turn
    std::size_t depth = 1;                 // requests that a client sends together
};

class Load {
  public:
    // Connects `count` clients to "unix:/path" or "tcp:127.0.0.1:PORT". Throws when it cannot.
    Load(const std::string& address, std::size_t count, const Demand& demand = {});

    enum class End {
        answered, // returns once every client has its last answer, so that it can run again
        at_once,  // for slow sources: what is asked for stays so
    };
    // All clients ask for that long. Throws when none gets an answer for 30 seconds.
    Round run(Duration duration, End end = End::answered);

  private:
    struct Client {
        Fd socket;
        std::size_t size = 0, left = 0; // bytes of an answer; still to come of all that were asked for
        Time asked{};
        std::uint64_t answers = 0, bytes = 0;
    };
    void ask(Client& client) const;
    Round sum_up(double seconds);

    Fd epoll_;
    std::size_t depth_;
    std::vector<Client> clients_;
    std::vector<float> waits_; // seconds
};

// Connects, asks for 32 bytes, reads them and closes, again and again, sixteen connections at a time.
Round open_read_close(const std::string& address, Duration duration);

// A load in a process of its own on core 1, with its own file descriptors.
class LoadProcess {
  public:
    using Work = std::function<Round(Duration)>;
    // `prepare` is called in the new process. Throws when it threw there.
    explicit LoadProcess(const std::function<Work()>& prepare);
    ~LoadProcess(); // ends it
    LoadProcess(const LoadProcess&) = delete;
    LoadProcess& operator=(const LoadProcess&) = delete;

    Round run(Duration duration);

  private:
    void await(void* answer, std::size_t size);

    pid_t process_ = -1;
    Fd commands_, answers_;
};

} // namespace ekey::bench
