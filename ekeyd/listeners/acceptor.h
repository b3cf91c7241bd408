// Takes connections from listening sockets, a batch at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ekeyd/listeners/network.h"
#include "ekeyd/listeners/throttle.h"
#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"

namespace ekey {

class AcceptOwner {
  public:
    // Non-blocking, close-on-exec. `from` has no family when it is a Unix peer.
    virtual void on_accepted(Fd socket, const IpAddress& from) = 0;

  protected:
    ~AcceptOwner() = default;
};

class Acceptor {
  public:
    // Borrows listening, non-blocking sockets, which must outlive it. `address` is for the log.
    Acceptor(Loop& loop, AcceptOwner& owner, const std::vector<int>& sockets, std::string address);
    // Takes in all that have connected by now.
    void accept_pending();

  private:
    // Between batches the clients that are there have their turn.
    static constexpr int batch = 64;

    struct Socket {
        Socket(Acceptor& acceptor, Loop& loop, int socket);
        void on_ready(int events);
        bool take_one(); // false when there is none, or none can be taken
        void watch() { watcher.watch(fd, IoWatcher::readable); }

        Acceptor& acceptor;
        int fd;
        IoWatcher watcher;
    };
    void pause(int error);
    void resume();

    AcceptOwner& owner_;
    std::string address_;
    std::vector<std::unique_ptr<Socket>> sockets_;
    Timer pause_timer_;
    Throttle said_;
};

} // namespace ekey
