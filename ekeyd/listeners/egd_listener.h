// An EGD listener on a Unix, TCP or vsock socket.
#pragma once

#include "ekeyd/listeners/client_table.h"
#include "ekeyd/listeners/socket_listener.h"

namespace ekey {

class EgdListener final : public SocketListener {
  public:
    EgdListener(Loop& loop, Pool& pool, const config::Address& address, std::unique_ptr<Supply> supply,
                Limits limits, Mixer* mixer)
        : SocketListener(loop, address),
          clients_(loop, pool, std::move(supply), address.text, std::move(limits), mixer) {}

    Counters counters() const override { return clients_.counters(); }
    std::vector<KeptClient> let_go() override {
        accept_pending();
        return clients_.let_go();
    }
    bool take_over(KeptClient client) override { return clients_.take_over(std::move(client)); }

  private:
    void on_accepted(Fd socket, const IpAddress& from) override { clients_.admit(std::move(socket), from); }

    ClientTable clients_;
};

} // namespace ekey
