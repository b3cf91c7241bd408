#include "ekeyd/runtime/tcp_socket.h"

#include <cerrno>
#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace ekey {

namespace {

struct FreeAddresses {
    void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

// A peer that vanished without a word is noticed after 60 s + 4 x 15 s; the kernel's default is two hours.
constexpr int keep_alive_idle = 60, keep_alive_interval = 15,
              keep_alive_count = 4; // seconds, seconds, probes

bool set(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// The port that the kernel chose, in network order.
in_port_t chosen_port(int fd) {
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
        return 0;
    }
    return bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                       : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port;
}

void set_port(sockaddr* address, in_port_t port) {
    (address->sa_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(address)->sin6_port
                                    : reinterpret_cast<sockaddr_in*>(address)->sin_port) = port;
}

// What is accepted inherits these.
bool set_inherited(int fd) {
    return set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) && set(fd, IPPROTO_TCP, TCP_KEEPIDLE, keep_alive_idle) &&
           set(fd, IPPROTO_TCP, TCP_KEEPINTVL, keep_alive_interval) &&
           set(fd, IPPROTO_TCP, TCP_KEEPCNT, keep_alive_count) && set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

// No descriptor, and errno, when it fails.
Fd listen_on(const addrinfo& address, bool one_of_several) {
    Fd fd(socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    const bool done =
        fd && set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1) && set_inherited(fd.get()) &&
        (address.ai_family != AF_INET6 || set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, one_of_several ? 1 : 0)) &&
        bind(fd.get(), address.ai_addr, address.ai_addrlen) == 0 && listen(fd.get(), SOMAXCONN) == 0;
    return done ? std::move(fd) : Fd();
}

// Those that were passed for any of the addresses. Errors are clauses.
Result<std::vector<Fd>> take_passed(const addrinfo* list, const PassedTo& passed) {
    std::vector<Fd> sockets;
    for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
        auto fd = passed.take(each->ai_addr);
        if (!fd) {
            return tl::unexpected(fd.error());
        }
        if (*fd) {
            if (!set_inherited(fd->get())) {
                return fail(std::strerror(errno));
            }
            sockets.push_back(std::move(*fd));
        }
    }
    return sockets;
}

} // namespace

Result<std::vector<Fd>> listen_tcp(const std::string& host, std::uint16_t port, HostNames names,
                                   const PassedTo& passed) {
    const std::string shown =
        (host.find(':') == std::string::npos ? host : '[' + host + ']') + ':' + std::to_string(port);
    const auto refuse = [&](const std::string& why) {
        return fail("cannot listen on " + shown + ": " + why);
    };

    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV | (names == HostNames::refuse ? AI_NUMERICHOST : 0);
    addrinfo* list = nullptr;
    if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
        error != 0) {
        if (error == EAI_NONAME && names == HostNames::refuse) {
            return refuse(
                "names are looked up when the daemon starts, and not while it runs: give an address, such "
                "as 127.0.0.1 or [::1]");
        }
        return refuse(error == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(error));
    }
    const Addresses addresses(list);

    if (auto taken = take_passed(list, passed); !taken) {
        return refuse(taken.error().what);
    } else if (!taken->empty()) {
        return taken;
    }
    std::vector<Fd> sockets;
    int absent = 0; // why an address family was passed over
    in_port_t chosen = htons(port);
    for (addrinfo* each = list; each != nullptr; each = each->ai_next) {
        set_port(each->ai_addr, chosen);
        Fd fd = listen_on(*each, list->ai_next != nullptr);
        if (fd) {
            chosen = chosen_port(fd.get());
            sockets.push_back(std::move(fd));
        } else if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) {
            absent = errno;
        } else if (errno == EADDRINUSE) {
            return refuse("the port is in use by another program");
        } else if (errno == EACCES) {
            return refuse("not permitted: a port below 1024 needs root or CAP_NET_BIND_SERVICE");
        } else {
            return refuse(std::strerror(errno));
        }
    }
    if (sockets.empty()) {
        return refuse(std::strerror(absent));
    }
    return sockets;
}

std::string bound_host_port(int fd) {
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    char host[INET6_ADDRSTRLEN];
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
        return {};
    }
    if (bound.ss_family == AF_INET6) {
        const auto& address = *reinterpret_cast<const sockaddr_in6*>(&bound);
        inet_ntop(AF_INET6, &address.sin6_addr, host, sizeof host);
        return '[' + std::string(host) + "]:" + std::to_string(ntohs(address.sin6_port));
    }
    if (bound.ss_family == AF_INET) {
        const auto& address = *reinterpret_cast<const sockaddr_in*>(&bound);
        inet_ntop(AF_INET, &address.sin_addr, host, sizeof host);
        return std::string(host) + ':' + std::to_string(ntohs(address.sin_port));
    }
    return {};
}

} // namespace ekey
