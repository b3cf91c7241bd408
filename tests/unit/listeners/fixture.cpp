#include "fixture.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace ekey::test {

std::string stream(std::size_t from, std::size_t count) {
    std::string bytes(count, '\0');
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t x = (from + i) * 0x9e3779b97f4a7c15ULL;
        x ^= x >> 29;
        bytes[i] = static_cast<char>(x * 0xbf58476d1ce4e5b9ULL >> 56);
    }
    return bytes;
}

Fixture::Fixture(const std::string& kind, const std::string& parameters, std::size_t pool_size)
    : pool(pool_size) {
    char name[] = "/tmp/ekeyd-listener-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    folder = name;
    const std::string where = kind == "unix" ? "unix:" + folder + "/egd.sock" : "tcp:127.0.0.1:0";
    auto made = make_listener(loop, pool, config::parse_address(where + parameters).value());
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().what));
    listener = std::move(*made);
}

Fixture::~Fixture() {
    listener.reset();
    std::filesystem::remove_all(folder);
}

void Fixture::feed(std::size_t count) {
    const std::string bytes = stream(fed, count);
    pool.put(as_bytes(bytes));
    fed += count;
    pool.serve();
}

void Fixture::until(const std::function<bool()>& done) {
    const Time deadline = Loop::now() + std::chrono::seconds(10);
    while (!done()) {
        ev_run(loop.raw(), EVRUN_NOWAIT);
        if (Loop::now() > deadline) {
            REQUIRE_MESSAGE(false, "what was waited for did not happen in ten seconds");
        }
    }
}

void Fixture::settle() {
    // Loopback sockets deliver at once, so what is ready is ready; a few rounds cover what one round starts.
    for (int i = 0; i < 8; ++i) {
        ev_run(loop.raw(), EVRUN_NOWAIT);
    }
}

Peer::Peer(Fixture& fixture, int receive_buffer) : fixture_(fixture) {
    const auto counters = fixture.counters();
    const std::string bound = fixture.listener->bound_address();
    sockaddr_storage address{};
    socklen_t size = 0;
    if (bound.starts_with("unix:")) {
        auto& un = reinterpret_cast<sockaddr_un&>(address);
        un.sun_family = AF_UNIX;
        std::strcpy(un.sun_path, bound.c_str() + 5);
        size = sizeof un;
    } else {
        auto& in = reinterpret_cast<sockaddr_in&>(address);
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        in.sin_port = htons(static_cast<std::uint16_t>(std::stoi(bound.substr(bound.rfind(':') + 1))));
        size = sizeof in;
    }
    fd_ = Fd(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(fd_);
    if (receive_buffer > 0) {
        setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    REQUIRE(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
    fixture.until([&] {
        const auto now = fixture.counters();
        return now.accepted + now.refused > counters.accepted + counters.refused;
    });
}

void Peer::send(std::string_view bytes) {
    REQUIRE(send_some(bytes) == bytes.size());
}

std::size_t Peer::send_some(std::string_view bytes) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

std::string Peer::read(std::size_t count) {
    std::string all;
    fixture_.until([&] {
        std::string piece(count - all.size(), '\0');
        const ssize_t got = recv(fd_.get(), piece.data(), piece.size(), 0);
        REQUIRE(got != 0);
        all.append(piece, 0, got > 0 ? static_cast<std::size_t>(got) : 0);
        return all.size() == count;
    });
    return all;
}

std::string Peer::read_once() {
    std::string all(65536, '\0');
    fixture_.until([&] {
        const ssize_t got = recv(fd_.get(), all.data(), all.size(), 0);
        REQUIRE(got != 0);
        if (got > 0) {
            all.resize(static_cast<std::size_t>(got));
        }
        return got > 0;
    });
    return all;
}

bool Peer::nothing_to_read() {
    fixture_.settle();
    char byte = 0;
    return recv(fd_.get(), &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

bool Peer::ended() {
    bool end = false;
    fixture_.until([&] {
        char byte = 0;
        const ssize_t got = recv(fd_.get(), &byte, 1, 0);
        end = got == 0 || (got < 0 && errno == ECONNRESET);
        return end || got > 0;
    });
    return end;
}

void Peer::half_close() {
    REQUIRE(shutdown(fd_.get(), SHUT_WR) == 0);
}

void Peer::reset() {
    const linger at_once{1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    fd_.reset();
}

} // namespace ekey::test
