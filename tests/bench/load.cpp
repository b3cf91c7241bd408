#include "load.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace ekey::bench {

namespace {

constexpr int patience_ms = 30'000;

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::system_category(), what);
}

Fd connect_unix(const std::string& path) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::strncpy(where.sun_path, path.c_str(), sizeof where.sun_path - 1);
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
        fail("connect");
    }
    return fd;
}

// From 127.0.1.0 to 127.0.255.255 in turn: a closed connection keeps its port for a minute, and one address
// has 28,000 of them.
Fd connect_tcp(std::uint16_t port) {
    static std::uint32_t turn = 0;
    sockaddr_in from{}, to{};
    from.sin_family = to.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + 256 + turn++ % (255 * 256));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (!fd || setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
        connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 ||
        setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        fail("connect");
    }
    return fd;
}

Fd connect_to(const std::string& address) {
    if (address.starts_with("unix:")) {
        return connect_unix(address.substr(std::strlen("unix:")));
    }
    return connect_tcp(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
}

double since(Time start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

} // namespace

Load::Load(const std::string& address, std::size_t count, const Demand& demand)
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), depth_(demand.depth), clients_(count) {
    for (std::size_t i = 0; i < count; ++i) {
        clients_[i].socket = connect_to(address);
        clients_[i].size = demand.sizes[i % demand.sizes.size()];
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = i;
        if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, clients_[i].socket.get(), &event) != 0) {
            fail("epoll_ctl");
        }
    }
}

void Load::ask(Client& client) const {
    std::array<Byte, 64> requests; // the size after each command
    for (std::size_t i = 0; i < depth_; ++i) {
        requests[2 * i] = 0x02;
        requests[2 * i + 1] = static_cast<Byte>(client.size);
    }
    client.left = depth_ * client.size;
    client.asked = std::chrono::steady_clock::now();
    const auto size = static_cast<ssize_t>(2 * depth_);
    if (write(client.socket.get(), requests.data(), 2 * depth_) != size) {
        fail("write");
    }
}

Round Load::run(Duration duration, End end) {
    waits_.clear();
    for (Client& client : clients_) {
        client.answers = client.bytes = 0;
        ask(client);
    }
    const Time start = std::chrono::steady_clock::now();
    std::size_t asking = clients_.size();
    std::vector<epoll_event> events(1024);
    std::vector<char> answer(65536);
    bool over = false;
    while (asking > 0 && !(over && end == End::at_once)) {
        const int ready =
            epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), patience_ms);
        if (ready == 0) {
            throw std::runtime_error(std::to_string(asking) + " clients wait in vain for an answer");
        }
        over = over || std::chrono::steady_clock::now() - start >= duration;
        for (int i = 0; i < ready; ++i) {
            Client& client = clients_[events[static_cast<std::size_t>(i)].data.u64];
            const ssize_t got =
                read(client.socket.get(), answer.data(), std::min(client.left, answer.size()));
            if (got <= 0) {
                throw std::runtime_error("the server closed a connection");
            }
            client.left -= static_cast<std::size_t>(got);
            client.bytes += static_cast<std::size_t>(got);
            if (client.left > 0) {
                continue;
            }
            client.answers += depth_;
            waits_.push_back(static_cast<float>(since(client.asked)));
            if (over) {
                --asking;
            } else {
                ask(client);
            }
        }
    }
    return sum_up(since(start));
}

Round Load::sum_up(double seconds) {
    Round round;
    round.seconds = seconds;
    round.fewest = UINT64_MAX;
    double squares = 0;
    for (const Client& client : clients_) {
        round.answers += client.answers;
        round.bytes += client.bytes;
        round.fewest = std::min(round.fewest, client.answers);
        round.most = std::max(round.most, client.answers);
        squares += static_cast<double>(client.bytes) * static_cast<double>(client.bytes);
    }
    const auto bytes = static_cast<double>(round.bytes);
    round.jain = squares > 0 ? bytes * bytes / (static_cast<double>(clients_.size()) * squares) : 0;
    if (!waits_.empty()) {
        std::sort(waits_.begin(), waits_.end());
        const auto quantile = [this](double q) {
            return static_cast<double>(
                waits_[static_cast<std::size_t>(q * static_cast<double>(waits_.size() - 1))]);
        };
        round.p50 = quantile(0.5);
        round.p99 = quantile(0.99);
        round.p999 = quantile(0.999);
        round.max = quantile(1);
    }
    return round;
}

Round open_read_close(const std::string& address, Duration duration) {
    static constexpr char request[] = {0x02, 32};
    std::array<Fd, 16> sockets;
    Round round;
    const Time start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < duration) {
        for (Fd& fd : sockets) {
            fd = connect_to(address);
            if (write(fd.get(), request, sizeof request) != sizeof request) {
                fail("write");
            }
        }
        for (Fd& fd : sockets) {
            char answer[32];
            if (recv(fd.get(), answer, sizeof answer, MSG_WAITALL) != sizeof answer) {
                throw std::runtime_error("a connection was not answered");
            }
            fd.reset();
        }
        round.answers += sockets.size();
    }
    round.bytes = round.answers * 32;
    round.seconds = since(start);
    return round;
}

} // namespace ekey::bench
