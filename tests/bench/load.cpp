#include "load.h"

#include <algorithm>
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

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::system_category(), what);
}

Fd connect_to(const std::string& address) {
    if (address.starts_with("unix:")) {
        sockaddr_un where{};
        where.sun_family = AF_UNIX;
        std::strcpy(where.sun_path, address.c_str() + std::strlen("unix:"));
        Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
            fail("connect");
        }
        return fd;
    }
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    where.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 ||
        setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        fail("connect");
    }
    return fd;
}

} // namespace

Load::Load(const std::string& address, std::size_t count)
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), clients_(count) {
    for (std::size_t i = 0; i < count; ++i) {
        clients_[i].socket = connect_to(address);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = i;
        if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, clients_[i].socket.get(), &event) != 0) {
            fail("epoll_ctl");
        }
    }
}

void Load::ask(const Client& client) {
    static constexpr char request[] = {0x02, read_size};
    if (write(client.socket.get(), request, sizeof request) != sizeof request) {
        fail("write");
    }
}

Load::Round Load::run(Duration duration) {
    for (Client& client : clients_) {
        client.answers = 0;
        ask(client);
    }
    const auto start = std::chrono::steady_clock::now();
    std::size_t asking = clients_.size();
    Round round;
    std::vector<epoll_event> events(1024);
    bool over = false;
    while (asking > 0) {
        const int ready = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
        if (!over && std::chrono::steady_clock::now() - start >= duration) {
            over = true;
        }
        for (int i = 0; i < ready; ++i) {
            Client& client = clients_[events[static_cast<std::size_t>(i)].data.u64];
            char answer[read_size];
            const ssize_t got = read(client.socket.get(), answer, read_size - client.got);
            if (got <= 0) {
                fail("the server ended");
            }
            client.got += static_cast<std::size_t>(got);
            if (client.got < read_size) {
                continue;
            }
            client.got = 0;
            ++client.answers;
            ++round.answers;
            if (over) {
                --asking;
            } else {
                ask(client);
            }
        }
    }
    round.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto [fewest, most] = std::minmax_element(
        clients_.begin(), clients_.end(), [](const auto& a, const auto& b) { return a.answers < b.answers; });
    round.fewest = fewest->answers;
    round.most = most->answers;
    return round;
}

} // namespace ekey::bench
