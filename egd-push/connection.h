// A stream of bytes to an upstream's address: looks its name up and tries its addresses in turn, or opens the
// device. It neither reads nor writes.
#pragma once

#include "egd-push/resolver.h"
#include "ekeyd/config/address.h"
#include "ekeyd/runtime/handle.h"

namespace ekey {

class ConnectionOwner {
  public:
    virtual void on_connected() = 0;
    // `why` is one clause for a person, without the address.
    virtual void on_unable(const std::string& why) = 0;

  protected:
    ~ConnectionOwner() = default;
};

class Connection final : private ResolverOwner {
  public:
    // `address` has passed check_upstream().
    Connection(Loop& loop, ConnectionOwner& owner, const config::Address& address);

    // The owner hears of it exactly once, perhaps before this returns, unless close() comes first. Whoever
    // gives up at `deadline` calls close(); until then each address has its share of the time.
    void open(Time deadline);
    void close();

    // What it has been waiting for since open(): "the name was not found" or "cannot connect". Null when it
    // waits for nothing.
    const char* waits_for() const;
    explicit operator bool() const { return fd_ && !connecting_; }
    int fd() const { return fd_.get(); } // non-blocking

  private:
    void on_resolved(Result<SocketAddresses> addresses) override;
    void open_device();
    void try_next_address();
    void on_writable(int events);
    void on_attempt_timeout();
    void failed_with(int error);
    void connected();

    ConnectionOwner& owner_;
    config::Address address_;
    Resolver resolver_;
    SocketAddresses addresses_; // still to be tried, the next one last
    std::string last_error_;
    Fd fd_;
    IoWatcher io_;
    Timer attempt_;
    Time deadline_{};
    bool resolving_ = false, connecting_ = false;
};

} // namespace ekey
