// EGD servers that a test plays itself, on its own loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"

namespace ekey::test {

// A server on a Unix socket: counts what it is asked and answers as told.
class Server {
  public:
    Server(Loop& loop, const std::string& path) : loop_(loop), path_(path), ready_(loop) {
        ready_.bind<&Server::on_client>(this);
        listen();
    }
    ~Server() { unlink(path_.c_str()); }

    void listen() {
        unlink(path_.c_str());
        listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::copy(path_.begin(), path_.end(), address.sun_path);
        REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(listener_.get(), 5) == 0);
        ready_.watch(listener_.get(), IoWatcher::readable);
    }
    void close() { // as if it were stopped
        ready_.stop();
        listener_.reset();
        clients_.clear();
        unlink(path_.c_str());
    }
    void drop_clients() { clients_.clear(); }
    void send(const std::string& bytes) {
        for (auto& client : clients_) {
            (void)::send(client->fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        }
    }
    std::size_t clients() const { return clients_.size(); }

    // What it answers a request of n bytes with; an answer that is too short keeps the client waiting.
    std::function<std::string(std::size_t n)> answer = [this](std::size_t n) { return bytes(n); };
    bool hang_up = false; // after its answer
    std::string bytes(std::size_t n) {
        std::string out;
        for (; out.size() < n; ++given) {
            out.push_back(static_cast<char>(given * 3 + 1));
        }
        return out;
    }
    std::vector<std::size_t> asked; // n of each blocking read
    std::size_t connections = 0, given = 0;

  private:
    struct Client {
        Client(Server& s, Loop& loop, int accepted) : server(s), fd(accepted), io(loop) {
            io.bind<&Client::on_request>(this);
            io.watch(fd.get(), IoWatcher::readable);
        }
        void on_request(int) {
            Byte request[64];
            const ssize_t got = ::recv(fd.get(), request, sizeof request, 0);
            if (got <= 0) {
                io.stop();
                fd.reset();
                return;
            }
            for (ssize_t i = 0; i + 1 < got; i += 2) {
                CHECK(request[i] == 2); // a blocking read
                server.asked.push_back(request[i + 1]);
                const std::string out = server.answer(request[i + 1]);
                (void)::send(fd.get(), out.data(), out.size(), MSG_NOSIGNAL);
            }
            if (server.hang_up) {
                io.stop();
                fd.reset();
            }
        }
        Server& server;
        Fd fd;
        IoWatcher io;
    };
    void on_client(int) {
        const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            ++connections;
            clients_.push_back(std::make_unique<Client>(*this, loop_, fd));
        }
    }
    Loop& loop_;
    std::string path_;
    Fd listener_;
    IoWatcher ready_;
    std::vector<std::unique_ptr<Client>> clients_;
};

} // namespace ekey::test
