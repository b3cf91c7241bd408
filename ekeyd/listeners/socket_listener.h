// What all listeners have: an address, and sockets that they accept from.
#pragma once

#include <optional>
#include <string>

#include "ekeyd/listeners/acceptor.h"
#include "ekeyd/listeners/listener.h"

namespace ekey {

class SocketListener : public Listener, protected AcceptOwner {
  public:
    const std::string& address() const final { return address_; }
    std::string bound_address() const final { return sockets_.bound_address(kind_); }
    void listen(Sockets sockets) final;
    Sockets cease() final;

  protected:
    SocketListener(Loop& loop, const config::Address& address)
        : loop_(loop), address_(address.text), kind_(address.kind) {}
    ~SocketListener() override = default;
    // Takes in all that have connected by now.
    void accept_pending();

  private:
    Loop& loop_;
    std::string address_, kind_;
    Sockets sockets_;
    std::optional<Acceptor> acceptor_; // before the sockets that it borrows
};

} // namespace ekey
