#include "ekeyd/control/server.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>

#include "ekeyd/config/kinds.h"
#include "ekeyd/control/client.h"
#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/tcp_socket.h"

namespace ekey::control {

namespace {

constexpr int backlog = 16;                                // few people type at once
constexpr Duration accept_pause = std::chrono::seconds(1); // until descriptors may be free again

Result<UnixListener> open_unix(const config::Address& address, PassedSockets* passed) {
    UnixListener::Options options;
    options.path = address.rest;
    options.passed = {passed, "control " + address.text};
    options.backlog = backlog;
    if (const std::string* mode = address.find("mode")) {
        const auto parsed = config::parse_mode(*mode);
        if (!parsed) {
            return fail(parsed.error().what);
        }
        options.mode = *parsed;
    }
    const auto set = [&](const char* name, std::string& into) {
        if (const std::string* value = address.find(name)) {
            into = *value;
        }
    };
    set("user", options.user);
    set("group", options.group);
    return UnixListener::open(options);
}

Result<Fd> open_tcp(const config::Address& address, PassedSockets* passed) {
    const auto host_port = config::parse_host_port(address.rest);
    if (!host_port) {
        return fail(host_port.error().what);
    }
    // One number, so one socket, and nothing to look up.
    auto sockets = listen_tcp(host_port->host == "localhost" ? "127.0.0.1" : host_port->host, host_port->port,
                              HostNames::look_up, {passed, "control " + address.text});
    if (!sockets) {
        return fail(sockets.error().what);
    }
    return std::move(sockets->front());
}

} // namespace

Result<std::unique_ptr<ControlServer>>
ControlServer::open(Loop& loop, Subject& subject, const config::Address& address, PassedSockets* passed) {
    if (auto checked = config::check_address(config::Role::control, address.text); !checked) {
        return fail(checked.error().what);
    }
    auto server = std::make_unique<ControlServer>(loop, subject);
    server->address_ = address.text;
    if (address.kind == "unix") {
        auto listener = open_unix(address, passed);
        if (!listener) {
            return fail(listener.error().what);
        }
        server->unix_ = std::move(*listener);
    } else {
        auto listener = open_tcp(address, passed);
        if (!listener) {
            return fail(listener.error().what);
        }
        server->tcp_ = std::move(*listener);
    }
    server->resume();
    return server;
}

ControlServer::ControlServer(Loop& loop, Subject& subject)
    : loop_(loop), subject_(subject), acceptable_(loop), pause_timer_(loop) {
    acceptable_.bind<&ControlServer::on_acceptable>(this);
    pause_timer_.bind<&ControlServer::resume>(this);
}

ControlServer::~ControlServer() = default;

void ControlServer::resume() {
    acceptable_.watch(listening_fd(), IoWatcher::readable);
}

void ControlServer::on_acceptable(int events) {
    if ((events & IoWatcher::unwatchable) != 0) {
        pause(ENOSPC); // epoll_ctl(2)
        return;
    }
    for (int count = 0; count < backlog; ++count) {
        Fd connection(accept4(listening_fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (connection) {
            said_paused_ = false;
            adopt(std::move(connection));
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            pause(errno);
            return;
        }
    }
}

void ControlServer::pause(int error) {
    acceptable_.stop();
    pause_timer_.start(accept_pause);
    if (!std::exchange(said_paused_, true)) {
        log::warning("control clients cannot be accepted for now",
                     {{"address", address_}, {"reason", std::strerror(error)}});
    }
}

void ControlServer::adopt(Fd connection) {
    if (clients_.size() == most_clients) {
        remove(*clients_.front());
    }
    clients_.push_back(std::make_unique<Client>(*this, std::move(connection)));
    clients_.back()->begin(std::prev(clients_.end()));
}

void ControlServer::remove(Client& client) {
    clients_.erase(client.place());
}

void ControlServer::touch(Client& client) {
    clients_.splice(clients_.end(), clients_, client.place());
}

} // namespace ekey::control
