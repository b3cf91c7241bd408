#include "ekeyd/listeners/egd_listener.h"

#include "ekeyd/runtime/tcp_socket.h"

namespace ekey {

namespace {
std::vector<int> borrow(const std::vector<Fd>& sockets) {
    std::vector<int> borrowed;
    borrowed.reserve(sockets.size());
    for (const Fd& socket : sockets) {
        borrowed.push_back(socket.get());
    }
    return borrowed;
}
} // namespace

EgdListener::EgdListener(Loop& loop, Pool& pool, const config::Address& address,
                         std::unique_ptr<Supply> supply, std::size_t max_clients, UnixListener socket)
    : address_(address.text), unix_(std::move(socket)),
      clients_(loop, pool, std::move(supply), address_, max_clients),
      acceptor_(loop, *this, {unix_->fd()}, address_) {}

EgdListener::EgdListener(Loop& loop, Pool& pool, const config::Address& address,
                         std::unique_ptr<Supply> supply, std::size_t max_clients, std::vector<Fd> sockets)
    : address_(address.text), tcp_(std::move(sockets)),
      clients_(loop, pool, std::move(supply), address_, max_clients),
      acceptor_(loop, *this, borrow(tcp_), address_) {}

std::string EgdListener::bound_address() const {
    return unix_ ? "unix:" + unix_->path() : "tcp:" + bound_host_port(tcp_.front().get());
}

} // namespace ekey
