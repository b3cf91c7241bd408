// A connection of which it is not yet known who it is: the handshake, and the wait for the first sealed
// message, which shows that the client's is no recording.
#pragma once

#include <memory>

#include "ekeyd/listeners/network.h"
#include "ekeyd/listeners/seal.h"
#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"
#include "protocol/sealed/responder.h"

namespace ekey {

class Greeting;

class GreetingOwner {
  public:
    // What a client with this key is told; null when it is not to be answered at all.
    virtual const sealed::Hello* on_asked(const Greeting& greeting, const sealed::PublicKey& key) = 0;
    // The client is known: its connection is to be taken over. It is over then.
    virtual void on_known(Greeting& greeting, Fd socket, std::unique_ptr<Seal> seal) = 0;
    // It ended otherwise. `why` is null when the client was not to be answered.
    virtual void on_over(Greeting& greeting, const char* why) = 0;

  protected:
    ~GreetingOwner() = default;
};

class Greeting {
  public:
    using Responders = LockedSlots<sealed::Responder>;

    // The owner hears of its end exactly once, and destroys it in that call. Throws when no memory may be
    // locked.
    Greeting(Loop& loop, GreetingOwner& owner, Fd socket, const IpAddress& from, Duration timeout,
             const sealed::KeyPair& keys, Responders& responders, Seal::Transports& transports);

    const IpAddress& from() const { return from_; }
    bool plain() const { return plain_; } // as sealed::Responder; valid in on_known()

  private:
    void on_readable(int events);
    void on_timeout();
    bool shake_hands(ByteView& received);
    bool answer();
    void over(const char* why);

    GreetingOwner& owner_;
    Fd socket_;
    IpAddress from_;
    Seal::Transports& transports_;
    Responders::Owned responder_;
    Seal::Transports::Owned transport_{nullptr, {}}; // once the handshake is done
    sealed::PublicKey key_{};
    bool plain_ = false;
    IoWatcher io_;
    Timer timeout_;
};

} // namespace ekey
