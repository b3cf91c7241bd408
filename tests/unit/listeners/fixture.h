// A listener on a pool whose bytes are numbered, and clients that talk to it, all on one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "ekeyd/config/address.h"
#include "ekeyd/listeners/listener.h"
#include "ekeyd/runtime/handle.h"

namespace ekey::test {

// The bytes that the pool is fed with, from place `from` on: no two places within 65,521 share four bytes in
// a row.
std::string stream(std::size_t from, std::size_t count);

struct Fixture {
    // "unix" (a path of its own) or "tcp" (127.0.0.1, a port of its own), and parameters such as
    // ",max-clients=1".
    explicit Fixture(const std::string& kind, const std::string& parameters = "",
                     std::size_t pool_size = 4096);
    ~Fixture();

    // Puts the next `count` bytes of stream() into the pool and lets those who wait have them.
    void feed(std::size_t count);
    // Runs the loop until `done` or, after ten seconds, fails the test.
    void until(const std::function<bool()>& done);
    void settle(); // runs the loop until nothing is ready
    Listener::Counters counters() const { return listener->counters(); }

    std::string folder; // removed at the end
    Loop loop;
    Pool pool;
    std::size_t fed = 0;
    std::unique_ptr<Listener> listener;
};

// A client's socket: non-blocking; the loop runs while it waits.
class Peer {
  public:
    // Connects, and waits until it is accepted (or refused). A receive buffer of 0 bytes means the usual one.
    explicit Peer(Fixture& fixture, int receive_buffer = 0);

    void send(std::string_view bytes);             // all of them, at once
    std::size_t send_some(std::string_view bytes); // as many as the socket takes
    std::string read(std::size_t count);           // exactly so many
    std::string read_once();                       // what one recv() gives; waits for the first byte
    bool nothing_to_read();                        // after the loop has settled
    bool ended();                                  // the listener closed it; waits for that
    void half_close();
    void reset(); // closes with RST on TCP
    int fd() const { return fd_.get(); }

  private:
    Fixture& fixture_;
    Fd fd_;
};

} // namespace ekey::test
