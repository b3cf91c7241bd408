#include "ekeyd/listeners/egd_listener.h"

#include "ekeyd/runtime/tcp_socket.h"
#include "ekeyd/runtime/vsock_socket.h"

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
                         std::unique_ptr<Supply> supply, Limits limits, Mixer* mixer, UnixListener socket)
    : address_(address.text), unix_(std::move(socket)),
      clients_(loop, pool, std::move(supply), address_, std::move(limits), mixer),
      acceptor_(loop, *this, {unix_->fd()}, address_) {}

EgdListener::EgdListener(Loop& loop, Pool& pool, const config::Address& address,
                         std::unique_ptr<Supply> supply, Limits limits, Mixer* mixer, std::vector<Fd> sockets)
    : address_(address.text), sockets_(std::move(sockets)),
      clients_(loop, pool, std::move(supply), address_, std::move(limits), mixer),
      acceptor_(loop, *this, borrow(sockets_), address_) {}

std::string EgdListener::bound_address() const {
    if (unix_) {
        return "unix:" + unix_->path();
    }
    const int fd = sockets_.front().get();
    const std::string vsock = bound_cid_port(fd);
    return vsock.empty() ? "tcp:" + bound_host_port(fd) : "vsock:" + vsock;
}

} // namespace ekey
