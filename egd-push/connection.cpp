#include "egd-push/connection.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "egd-push/device.h"
#include "ekeyd/runtime/vsock_socket.h"

namespace ekey {

namespace {

SocketAddresses unix_address(const std::string& path) {
    sockaddr_un address{};
    assert(path.size() < sizeof address.sun_path);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    SocketAddress out;
    std::memcpy(&out.storage, &address, sizeof address);
    out.size = sizeof address;
    return {out};
}

SocketAddresses vsock_addresses(const std::string& rest) {
    const auto where = config::parse_cid_port(rest);
    SocketAddress out;
    out.size = vsock_address(where->cid, where->port, out.storage);
    return {out};
}

void set_option(int fd, int level, int option) {
    const int on = 1;
    setsockopt(fd, level, option, &on, sizeof on);
}

} // namespace

Connection::Connection(Loop& loop, ConnectionOwner& owner, const config::Address& address)
    : owner_(owner), address_(address), resolver_(loop, *this), io_(loop), attempt_(loop) {
    io_.bind<&Connection::on_writable>(this);
    attempt_.bind<&Connection::on_attempt_timeout>(this);
}

void Connection::open(Time deadline) {
    close();
    last_error_.clear();
    deadline_ = deadline;
    if (address_.kind == "char") {
        open_device();
    } else if (address_.kind == "unix") {
        on_resolved(unix_address(address_.rest));
    } else if (address_.kind == "vsock") {
        on_resolved(vsock_addresses(address_.rest));
    } else {
        const auto host_port = config::parse_host_port(address_.rest);
        resolving_ = true;
        resolver_.start(host_port->host, host_port->port);
    }
}

void Connection::close() {
    resolver_.cancel();
    io_.stop();
    attempt_.stop();
    addresses_.clear();
    fd_.reset();
    resolving_ = connecting_ = false;
}

const char* Connection::waits_for() const {
    return resolving_ ? "the name was not found" : connecting_ ? "cannot connect" : nullptr;
}

void Connection::open_device() {
    auto device = ekey::open_device(address_.rest);
    if (device) {
        fd_ = std::move(*device);
        owner_.on_connected();
    } else {
        owner_.on_unable(device.error().what);
    }
}

void Connection::on_resolved(Result<SocketAddresses> addresses) {
    resolving_ = false;
    if (!addresses) {
        owner_.on_unable(addresses.error().what);
        return;
    }
    addresses_ = std::move(*addresses);
    std::reverse(addresses_.begin(), addresses_.end());
    try_next_address();
}

void Connection::try_next_address() {
    io_.stop();
    attempt_.stop();
    fd_.reset();
    connecting_ = false;
    while (!addresses_.empty()) {
        const SocketAddress address = addresses_.back();
        // An address that never answers leaves time for the others.
        const Duration left = std::max(deadline_ - Loop::now(), Duration::zero());
        const Duration share = left / static_cast<int>(addresses_.size());
        addresses_.pop_back();
        fd_.reset(::socket(address.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (fd_ && ::connect(fd_.get(), address.get(), address.size) == 0) {
            connected();
            return;
        }
        if (fd_ && errno == EINPROGRESS) {
            connecting_ = true;
            io_.watch(fd_.get(), IoWatcher::writable);
            if (!addresses_.empty()) {
                attempt_.start(share);
            }
            return;
        }
        failed_with(errno);
    }
    fd_.reset();
    owner_.on_unable(last_error_);
}

void Connection::on_writable(int) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) {
        connected();
        return;
    }
    failed_with(error);
    try_next_address();
}

void Connection::failed_with(int error) {
    last_error_ = "cannot connect: " +
                  (address_.kind == "vsock" ? vsock_reason(error) : std::string(std::strerror(error)));
}

void Connection::on_attempt_timeout() {
    last_error_ = "cannot connect: no answer";
    try_next_address();
}

void Connection::connected() {
    connecting_ = false;
    io_.stop();
    attempt_.stop();
    addresses_.clear();
    if (address_.kind == "tcp" || address_.kind == "sealed") {
        set_option(fd_.get(), IPPROTO_TCP, TCP_NODELAY);
        // Notices between pushes that the other side is gone, and keeps address translation alive.
        set_option(fd_.get(), SOL_SOCKET, SO_KEEPALIVE);
    }
    owner_.on_connected();
}

} // namespace ekey
