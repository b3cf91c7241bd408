// The sockets at one address, apart from who answers there: a listener with other parameters takes them over
// while clients connect.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/unix_socket.h"

namespace ekey {

class Sockets {
  public:
    Sockets() = default;
    explicit Sockets(UnixListener socket) : unix_(std::move(socket)) {}
    explicit Sockets(std::vector<Fd> sockets) : others_(std::move(sockets)) {} // TCP or vsock; at least one

    // Borrowed, listening and non-blocking.
    std::vector<int> descriptors() const;
    // Where they are bound: "unix:/path", "vsock:any:888", or, with the kind of its address,
    // "tcp:127.0.0.1:8888" (of several, the first).
    std::string bound_address(std::string_view kind) const;
    // Lets another socket listen at the same port meanwhile, whatever rights this process has given up since
    // it bound this one; then listens again. Those who were about to connect are reset. False: not TCP, or
    // the system refuses.
    bool step_aside();
    bool step_back();
    UnixListener* unix_socket() { return unix_ ? &*unix_ : nullptr; }

  private:
    std::optional<UnixListener> unix_;
    std::vector<Fd> others_;
};

} // namespace ekey
