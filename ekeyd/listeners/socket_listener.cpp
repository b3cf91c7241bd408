#include "ekeyd/listeners/socket_listener.h"

namespace ekey {

void SocketListener::listen(Sockets sockets) {
    sockets_ = std::move(sockets);
    acceptor_.emplace(loop_, static_cast<AcceptOwner&>(*this), sockets_.descriptors(), address_);
}

Sockets SocketListener::cease() {
    acceptor_.reset();
    return std::exchange(sockets_, Sockets());
}

void SocketListener::accept_pending() {
    if (acceptor_) {
        acceptor_->accept_pending();
    }
}

} // namespace ekey
