// A server of sealed links on the loopback address, which a test plays itself.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"
#include "protocol/sealed/responder.h"

namespace ekey::test {

inline sealed::KeyPair key_of(Byte seed) {
    sealed::SecretKey secret;
    std::fill_n(secret.data(), sealed::key_size, seed);
    return sealed::key_pair(secret);
}

class SealedServer {
  public:
    SealedServer(Loop& loop, Byte seed) : keys(key_of(seed)), loop_(loop), ready_(loop) {
        ready_.bind<&SealedServer::on_client>(this);
        listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
        REQUIRE(::listen(listener_.get(), 5) == 0);
        REQUIRE(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        port = ntohs(address.sin_port);
        ready_.watch(listener_.get(), IoWatcher::readable);
    }
    std::string address() const {
        return "sealed:127.0.0.1:" + std::to_string(port) + ",key=" + sealed::encode_key(keys.public_key);
    }
    void close_clients() { clients_.clear(); }

    const sealed::KeyPair keys;
    int port = 0;
    sealed::Hello hello;                                          // what it says of itself
    bool knows_client = true;                                     // else it closes without a word
    std::function<void(std::vector<Byte>&)> alter = [](auto&) {}; // an answer on its way
    std::function<std::string(std::size_t)> answer = [this](std::size_t n) {
        std::string bytes;
        while (bytes.size() < n) {
            bytes += static_cast<char>(++given_ * 3);
        }
        return bytes;
    };
    std::vector<std::size_t> asked;
    std::size_t connections = 0;
    sealed::PublicKey client{}; // the last one's

  private:
    struct Client {
        Client(SealedServer& s, Fd accepted)
            : server(s), fd(std::move(accepted)), io(s.loop_), responder(s.keys) {
            io.bind<&Client::on_readable>(this);
            io.watch(fd.get(), IoWatcher::readable);
        }
        void end() {
            io.stop();
            fd.reset();
        }
        void send(ByteView bytes) { (void)::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
        void on_readable(int) {
            Byte buffer[2048];
            const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
            if (got <= 0) {
                end();
                return;
            }
            ByteView in(buffer, static_cast<std::size_t>(got));
            if (!transport) {
                const auto step = responder.receive(in);
                in = in.subspan(step.used);
                if (step.event == sealed::Responder::Event::fault ||
                    (step.event == sealed::Responder::Event::asked && !server.knows_client)) {
                    end();
                    return;
                }
                if (step.event != sealed::Responder::Event::asked) {
                    return;
                }
                server.client = responder.client();
                std::array<Byte, sealed::Responder::max_answer> out;
                const auto size = responder.answer(server.hello, key_of(9).secret, Loop::now(), out);
                REQUIRE(size);
                send(ByteView(out).first(*size));
                transport.emplace(responder.transport(Loop::now()));
            }
            serve(in);
        }
        void serve(ByteView in) {
            std::array<Byte, sealed::Transport::longest> plain;
            for (;;) {
                const auto step = transport->receive(in, plain);
                in = in.subspan(step.used);
                if (step.event != sealed::Transport::Event::bytes) {
                    CHECK(step.event == sealed::Transport::Event::need_more);
                    return;
                }
                for (std::size_t i = 0; i + 1 < step.bytes.size(); i += 2) {
                    CHECK(step.bytes[i] == 2); // a blocking read
                    const std::size_t count = step.bytes[i + 1];
                    server.asked.push_back(count);
                    const std::string answer = server.answer(count);
                    std::vector<Byte> message(answer.size() + sealed::Transport::overhead);
                    transport->seal({reinterpret_cast<const Byte*>(answer.data()), answer.size()}, message);
                    server.alter(message);
                    send(message);
                }
            }
        }
        SealedServer& server;
        Fd fd;
        IoWatcher io;
        sealed::Responder responder;
        std::optional<sealed::Transport> transport;
    };
    void on_client(int) {
        Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd) {
            ++connections;
            clients_.push_back(std::make_unique<Client>(*this, std::move(fd)));
        }
    }
    Loop& loop_;
    Fd listener_;
    IoWatcher ready_;
    std::vector<std::unique_ptr<Client>> clients_;
    unsigned given_ = 0;
};

} // namespace ekey::test
