#include "ekeyd/listeners/acceptor.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {
// A connection that cannot be accepted stays ready; without a pause the loop would spin on it.
constexpr auto pause_time = std::chrono::seconds(1);

// accept(2): errors of the one connection, which is gone; the next one may be fine.
bool concerns_one_connection(int error) {
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: return true;
    default: return false;
    }
}
} // namespace

Acceptor::Socket::Socket(Acceptor& a, Loop& loop, int socket) : acceptor(a), fd(socket), watcher(loop) {
    watcher.bind<&Socket::on_ready>(this);
    watch();
}

Acceptor::Acceptor(Loop& loop, AcceptOwner& owner, const std::vector<int>& sockets, std::string address)
    : owner_(owner), address_(std::move(address)), pause_timer_(loop) {
    pause_timer_.bind<&Acceptor::resume>(this);
    for (const int socket : sockets) {
        sockets_.push_back(std::make_unique<Socket>(*this, loop, socket));
    }
}

void Acceptor::Socket::on_ready(int events) {
    if ((events & IoWatcher::unwatchable) != 0) {
        acceptor.pause(ENOSPC); // epoll_ctl(2)
        return;
    }
    for (int i = 0; i < batch && take_one(); ++i) {
    }
}

bool Acceptor::Socket::take_one() {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    Fd client(accept4(fd, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client) {
        acceptor.owner_.on_accepted(std::move(client), IpAddress::of(from));
    } else if (!concerns_one_connection(errno)) {
        if (errno != EAGAIN) {
            acceptor.pause(errno);
        }
        return false;
    }
    return true;
}

void Acceptor::accept_pending() {
    // Nobody fills a backlog anew as fast as it is emptied for as long as this; the kernel's largest one
    // (net.core.somaxconn) is 4096 as a rule.
    constexpr int most = 65536;
    for (const auto& socket : sockets_) {
        for (int i = 0; i < most && socket->take_one(); ++i) {
        }
    }
}

void Acceptor::pause(int error) {
    for (const auto& socket : sockets_) {
        socket->watcher.stop();
    }
    pause_timer_.start(pause_time);
    if (const auto times = said_.count(Loop::now())) {
        log::warning("no new clients for a second: they cannot be accepted",
                     {{"listener", address_}, {"reason", std::strerror(error)}, {"times", times}});
    }
}

void Acceptor::resume() {
    for (const auto& socket : sockets_) {
        socket->watch();
    }
}

} // namespace ekey
