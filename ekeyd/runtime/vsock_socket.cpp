#include "ekeyd/runtime/vsock_socket.h"

#include <cerrno>
#include <cstring>

#include <linux/vm_sockets.h>

namespace ekey {

namespace {
std::string shown(std::uint32_t cid, std::uint32_t port) {
    return (cid == VMADDR_CID_ANY ? "any" : std::to_string(cid)) + ':' + std::to_string(port);
}
} // namespace

socklen_t vsock_address(std::uint32_t cid, std::uint32_t port, sockaddr_storage& storage) {
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = cid;
    address.svm_port = port;
    storage = {};
    std::memcpy(&storage, &address, sizeof address);
    return sizeof address;
}

std::string vsock_reason(int error) {
    switch (error) {
    case EAFNOSUPPORT:
        return "this kernel has no vsock (its module is vsock), or the service manager denies it "
               "(RestrictAddressFamilies=)";
    case ENODEV:
        return "nothing carries vsock here (in a guest the module is vmw_vsock_virtio_transport, on a host "
               "vhost_vsock)";
    case ECONNRESET: return "nobody listens there";
    default: return std::strerror(error);
    }
}

Result<std::vector<Fd>> listen_vsock(std::uint32_t cid, std::uint32_t port, const PassedTo& passed) {
    const auto refuse = [&](const std::string& why) {
        return fail("cannot listen on vsock:" + shown(cid, port) + ": " + why);
    };
    sockaddr_storage address;
    const socklen_t size = vsock_address(cid, port, address);
    const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
    std::vector<Fd> sockets;
    auto taken = passed.take(generic);
    if (!taken) {
        return refuse(taken.error().what);
    }
    if (*taken) {
        sockets.push_back(std::move(*taken));
        return sockets;
    }
    Fd fd(::socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd || ::bind(fd.get(), generic, size) != 0 || ::listen(fd.get(), SOMAXCONN) != 0) {
        switch (errno) {
        case EADDRINUSE: return refuse("the port is in use by another program");
        case EACCES: return refuse("not permitted: a port below 1024 needs root or CAP_NET_BIND_SERVICE");
        case EADDRNOTAVAIL: return refuse("this machine has another CID: any listens on whatever it has");
        default: return refuse(vsock_reason(errno));
        }
    }
    sockets.push_back(std::move(fd));
    return sockets;
}

std::string bound_cid_port(int fd) {
    sockaddr_vm bound{};
    socklen_t size = sizeof bound;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0 || bound.svm_family != AF_VSOCK) {
        return {};
    }
    return shown(bound.svm_cid, bound.svm_port);
}

} // namespace ekey
