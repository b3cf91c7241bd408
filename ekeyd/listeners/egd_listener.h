// An EGD listener on a Unix, TCP or vsock socket.
#pragma once

#include <optional>

#include "ekeyd/listeners/acceptor.h"
#include "ekeyd/listeners/client_table.h"
#include "ekeyd/listeners/listener.h"
#include "ekeyd/runtime/unix_socket.h"

namespace ekey {

class EgdListener final : public Listener, AcceptOwner {
  public:
    // Takes over bound, listening, non-blocking sockets.
    EgdListener(Loop& loop, Pool& pool, const config::Address& address, std::unique_ptr<Supply> supply,
                Limits limits, Mixer* mixer, UnixListener socket);
    EgdListener(Loop& loop, Pool& pool, const config::Address& address, std::unique_ptr<Supply> supply,
                Limits limits, Mixer* mixer, std::vector<Fd> sockets);

    const std::string& address() const override { return address_; }
    std::string bound_address() const override;
    Counters counters() const override { return clients_.counters(); }
    std::vector<KeptClient> let_go() override { return clients_.let_go(); }
    bool take_over(KeptClient client) override { return clients_.take_over(std::move(client)); }

  private:
    void on_accepted(Fd socket, const IpAddress& from) override { clients_.admit(std::move(socket), from); }

    std::string address_;
    std::optional<UnixListener> unix_;
    std::vector<Fd> sockets_; // TCP or vsock
    ClientTable clients_;
    Acceptor acceptor_;
};

} // namespace ekey
