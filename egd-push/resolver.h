// Host names to addresses, off the loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "ekeyd/runtime/loop.h"
#include "protocol/result.h"

namespace ekey {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
using SocketAddresses = std::vector<SocketAddress>;

class ResolverOwner {
  public:
    // In the order to try them (RFC 6724, as getaddrinfo sorts); the error says why the name is unknown.
    virtual void on_resolved(Result<SocketAddresses> addresses) = 0;

  protected:
    ~ResolverOwner() = default;
};

// One look-up at a time, in a thread of its own, since getaddrinfo() blocks.
class Resolver {
  public:
    Resolver(Loop& loop, ResolverOwner& owner);
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    // Numbers are answered at once, before this returns; names later. While an earlier look-up of the same
    // name still runs, its answer is taken, so that a dead name server never has more than one thread
    // waiting.
    void start(const std::string& host, std::uint16_t port);
    // No answer is wanted any more. The thread, which nothing can stop, ends by itself.
    void cancel() { wanted_ = false; }

  private:
    struct Job;
    void on_answer();

    ResolverOwner& owner_;
    AsyncWatcher wake_;
    std::shared_ptr<Job> job_;
    bool wanted_ = false;
};

} // namespace ekey
