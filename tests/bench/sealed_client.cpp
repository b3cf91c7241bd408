#include "sealed_client.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "ekeyd/runtime/loop.h"
#include "protocol/egd/client.h"

namespace ekey::bench {

using sealed::Initiator, sealed::Transport;

sealed::KeyPair random_key_pair() {
    sealed::SecretKey secret;
    randombytes_buf(secret.data(), secret.size());
    return sealed::key_pair(secret);
}

SealedClient::SealedClient(std::uint16_t port, std::uint32_t from, const sealed::KeyPair& self,
                           const sealed::PublicKey* server)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), received_(65536),
      plaintext_(Transport::longest) {
    if (server != nullptr) {
        link_ = make_locked<Initiator>(self, *server);
    }
    sockaddr_in own{}, theirs{};
    own.sin_family = theirs.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(0x7f000000U | from);
    theirs.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    theirs.sin_port = htons(port);
    const int yes = 1;
    if (setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0 ||
        ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 ||
        ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&theirs), sizeof theirs) != 0) {
        throw std::runtime_error("cannot connect");
    }
}

void SealedClient::send(ByteView bytes) {
    if (::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(bytes.size())) {
        throw std::runtime_error("cannot send");
    }
}

ByteView SealedClient::receive() {
    const ssize_t got = ::recv(socket_.get(), received_.data(), received_.size(), 0);
    if (got <= 0) {
        throw std::runtime_error("the server closed the connection");
    }
    return received_.span().first(static_cast<std::size_t>(got));
}

void SealedClient::greet(std::size_t size) {
    sealed::SecretKey random;
    randombytes_buf(random.data(), random.size());
    std::array<Byte, Initiator::max_opening> opening;
    const std::size_t whole = link_->open(nullptr, random, Loop::now(), opening).value();
    send(ByteView(opening).first(std::min(size, whole)));
}

void SealedClient::shake_hands() {
    greet();
    while (!link_->is_open()) {
        const auto step = link_->receive(receive(), Loop::now(), plaintext_.span());
        if (step.event == Initiator::Event::fault) {
            throw std::runtime_error(sentence(step.fault));
        }
    }
    std::array<Byte, Transport::overhead> empty;
    send(ByteView(empty).first(link_->seal({}, empty)));
}

bool SealedClient::is_closed() {
    Byte byte = 0;
    return ::recv(socket_.get(), &byte, 1, 0) <= 0;
}

void SealedClient::ask(std::size_t requests) {
    std::array<Byte, 64 * egd::max_request> out;
    std::size_t size = 0;
    for (std::size_t i = 0; i < requests; ++i) {
        size +=
            egd::encode_request({egd::Command::read_blocking, egd::max_count}, ByteSpan(out).subspan(size));
    }
    std::array<Byte, sizeof out + Transport::overhead> message;
    send(link_ ? ByteView(message).first(link_->seal(ByteView(out).first(size), message))
               : ByteView(out).first(size));
}

void SealedClient::take(std::size_t size) {
    while (kept_ < size) {
        ByteView in = receive();
        if (!link_) {
            kept_ += in.size();
            continue;
        }
        for (;;) {
            const auto step = link_->receive(in, Loop::now(), plaintext_.span());
            in = in.subspan(step.used);
            kept_ += step.bytes.size();
            if (step.event == Initiator::Event::fault) {
                throw std::runtime_error(sentence(step.fault));
            }
            if (step.event == Initiator::Event::need_more) {
                break;
            }
        }
    }
    kept_ -= size;
}

} // namespace ekey::bench
