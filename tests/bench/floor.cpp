// The floor: a bare epoll loop that answers from a static buffer. It looks at the size of the first request
// only, and believes that all that came together are alike.
#include <array>
#include <optional>
#include <vector>

#include <sys/epoll.h>
#include <sys/socket.h>

#include "ekeyd/runtime/tcp_socket.h"
#include "ekeyd/runtime/unix_socket.h"
#include "servers.h"

namespace ekey::bench {

namespace {

void watch(const Fd& epoll, int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event);
}

bool answer(int fd) {
    static constexpr std::size_t together = 32; // requests
    static const std::array<char, together * 255> answers{};
    unsigned char in[2 * together];
    const ssize_t got = read(fd, in, sizeof in);
    if (got < 2) {
        return false;
    }
    const std::size_t size = static_cast<std::size_t>(got) / 2 * in[1];
    return write(fd, answers.data(), size) >= 0;
}

} // namespace

void run_floor(const std::string& address, Fd ready) {
    std::optional<UnixListener> unix_socket;
    std::vector<Fd> tcp_sockets;
    int listening = -1;
    if (address.starts_with("unix:")) {
        unix_socket.emplace(UnixListener::open({address.substr(5), 0600, "", "", 4096}).value());
        listening = unix_socket->fd();
        report(ready, address);
    } else {
        tcp_sockets = listen_tcp("127.0.0.1", 0).value();
        listening = tcp_sockets.front().get();
        report(ready, "tcp:" + bound_host_port(listening));
    }
    ready.reset();

    const Fd epoll(epoll_create1(0));
    watch(epoll, listening);
    std::vector<epoll_event> events(1024);
    for (;;) {
        const int count = epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < count; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (fd == listening) {
                const int client = accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (client >= 0) {
                    watch(epoll, client);
                }
            } else if (!answer(fd)) {
                close(fd);
            }
        }
    }
}

} // namespace ekey::bench
