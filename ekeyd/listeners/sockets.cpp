#include "ekeyd/listeners/sockets.h"

#include <algorithm>

#include <sys/socket.h>

#include "ekeyd/runtime/tcp_socket.h"
#include "ekeyd/runtime/vsock_socket.h"

namespace ekey {

std::vector<int> Sockets::descriptors() const {
    std::vector<int> borrowed;
    if (unix_) {
        borrowed.push_back(unix_->fd());
    }
    for (const Fd& socket : others_) {
        borrowed.push_back(socket.get());
    }
    return borrowed;
}

std::string Sockets::bound_address(std::string_view kind) const {
    if (unix_) {
        return "unix:" + unix_->path();
    }
    const int fd = others_.front().get();
    const std::string vsock = bound_cid_port(fd);
    return vsock.empty() ? std::string(kind) + ':' + bound_host_port(fd) : "vsock:" + vsock;
}

bool Sockets::step_aside() {
    // Linux keeps the port for it, and, with SO_REUSEADDR on both, shares it with one that listens.
    return !unix_ && std::all_of(others_.begin(), others_.end(),
                                 [](const Fd& socket) { return shutdown(socket.get(), SHUT_RDWR) == 0; });
}

bool Sockets::step_back() {
    return std::all_of(others_.begin(), others_.end(),
                       [](const Fd& socket) { return ::listen(socket.get(), SOMAXCONN) == 0; });
}

} // namespace ekey
