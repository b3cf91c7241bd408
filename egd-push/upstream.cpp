#include "egd-push/upstream.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

SocketAddresses unix_address(const std::string& path) {
    sockaddr_un address{};
    assert(path.size() < sizeof address.sun_path);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    SocketAddress out;
    std::memcpy(&out.storage, &address, sizeof address);
    out.size = sizeof address;
    return {out};
}

void set_option(int fd, int level, int option) {
    const int on = 1;
    setsockopt(fd, level, option, &on, sizeof on);
}

std::string shown_seconds(Duration d) {
    char text[32];
    std::snprintf(text, sizeof text, "%g s", std::chrono::duration<double>(d).count());
    return text;
}

} // namespace

Result<void> Upstream::check(const config::Address& address) {
    for (const char* const later : {"sealed", "vsock", "char"}) {
        if (address.kind == later) {
            return fail("from " + address.text + ": this build does not have " + later + ": upstreams");
        }
    }
    if (address.kind != "unix" && address.kind != "tcp") {
        std::string what = "from " + address.text + ": \"" + address.kind + "\" is no kind of upstream: ";
        const auto near = config::nearest(address.kind, {"unix", "tcp"});
        return fail(what + (near.empty() ? "expected unix:/PATH or tcp:HOST:PORT"
                                         : "did you mean " + std::string(near) + "?"));
    }
    if (const auto known = config::check_parameters(address, {}); !known) {
        return known;
    }
    if (address.kind == "unix") {
        if (!address.rest.starts_with('/') || address.rest.size() >= sizeof sockaddr_un{}.sun_path) {
            return fail("from " + address.text + ": expected an absolute path of at most 107 characters");
        }
        return {};
    }
    const auto host_port = config::parse_host_port(address.rest);
    if (!host_port) {
        return fail("from " + address.text + ": " + host_port.error().what);
    }
    if (host_port->port == 0) {
        return fail("from " + address.text + ": port is \"0\": expected a whole number from 1 to 65535");
    }
    return {};
}

Upstream::Upstream(Loop& loop, UpstreamOwner& owner, const config::Address& address, std::size_t bytes,
                   Duration timeout)
    : owner_(owner), address_(address), bytes_(bytes), timeout_(timeout), resolver_(loop, *this), io_(loop),
      deadline_(loop), attempt_(loop), answer_(bytes + 1) {
    assert(bytes > 0 && bytes <= egd::AnswerReader::max_outstanding * egd::max_count);
    io_.bind<&Upstream::on_io>(this);
    deadline_.bind<&Upstream::on_timeout>(this);
    attempt_.bind<&Upstream::on_attempt_timeout>(this);
}

void Upstream::ask() {
    assert(!busy_);
    forget();
    busy_ = true;
    deadline_at_ = Loop::now() + timeout_;
    deadline_.start(timeout_);
    reused_ = static_cast<bool>(fd_);
    if (reused_) {
        send_requests();
    } else {
        connect();
    }
}

void Upstream::forget() {
    wipe(answer_.span());
    received_ = 0;
    complete_ = false;
}

void Upstream::connect() {
    last_error_.clear();
    if (address_.kind == "unix") {
        on_resolved(unix_address(address_.rest));
    } else {
        const auto host_port = config::parse_host_port(address_.rest);
        resolver_.start(host_port->host, host_port->port);
    }
}

void Upstream::on_resolved(Result<SocketAddresses> addresses) {
    if (!addresses) {
        fail_with(addresses.error().what);
        return;
    }
    addresses_ = std::move(*addresses);
    std::reverse(addresses_.begin(), addresses_.end());
    try_next_address();
}

void Upstream::try_next_address() {
    io_.stop();
    attempt_.stop();
    fd_.reset();
    while (!addresses_.empty()) {
        const SocketAddress address = addresses_.back();
        // An address that never answers leaves time for the others.
        const Duration share = left() / static_cast<int>(addresses_.size());
        addresses_.pop_back();
        fd_.reset(::socket(address.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (fd_ && ::connect(fd_.get(), address.get(), address.size) == 0) {
            on_connected();
            return;
        }
        if (fd_ && errno == EINPROGRESS) {
            connecting_ = true;
            io_.watch(fd_.get(), IoWatcher::writable);
            if (!addresses_.empty()) {
                attempt_.start(share);
            }
            return;
        }
        last_error_ = std::string("cannot connect: ") + std::strerror(errno);
    }
    fail_with(last_error_);
}

void Upstream::on_attempt_timeout() {
    last_error_ = "cannot connect: no answer";
    try_next_address();
}

void Upstream::on_connected() {
    connecting_ = false;
    attempt_.stop();
    addresses_.clear();
    reader_ = {};
    if (address_.kind == "tcp") {
        set_option(fd_.get(), IPPROTO_TCP, TCP_NODELAY);
        // Notices between pushes that the other side is gone, and keeps address translation alive.
        set_option(fd_.get(), SOL_SOCKET, SO_KEEPALIVE);
    }
    send_requests();
}

void Upstream::send_requests() {
    std::array<Byte, egd::AnswerReader::max_outstanding * egd::max_request> out;
    std::size_t size = 0;
    for (std::size_t left_to_ask = bytes_; left_to_ask > 0;) {
        const std::size_t count = std::min(left_to_ask, egd::max_count);
        const egd::Request request{egd::Command::read_blocking, static_cast<Byte>(count)};
        size += egd::encode_request(request, ByteSpan(out).subspan(size));
        reader_.expect(request);
        left_to_ask -= count;
    }
    // A few bytes: less than the buffer of any socket that has nothing else in it.
    const ssize_t sent = ::send(fd_.get(), out.data(), size, MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(size)) {
        lost(sent < 0 ? std::string("cannot send a request: ") + std::strerror(errno)
                      : std::string("takes no requests"));
        return;
    }
    io_.watch(fd_.get(), IoWatcher::readable);
}

void Upstream::on_io(int) {
    if (connecting_) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error == 0) {
            on_connected();
        } else {
            last_error_ = std::string("cannot connect: ") + std::strerror(error);
            try_next_address();
        }
    } else {
        read_answer();
    }
}

void Upstream::read_answer() {
    const ByteSpan room = busy_ ? answer_.span().subspan(received_) : answer_.span().last(1);
    const ssize_t got = ::recv(fd_.get(), room.data(), room.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        lost(got == 0 ? std::string("closed the connection") : std::string(std::strerror(errno)));
        return;
    }
    reused_ = false;
    // Answers to blocking reads have no header: the bytes lie where they belong.
    for (ByteView in = room.first(static_cast<std::size_t>(got)); !in.empty();) {
        const auto step = reader_.receive(in);
        if (step.event == egd::AnswerReader::Event::error) {
            lost(step.error);
            return;
        }
        in = in.subspan(step.used);
    }
    received_ += static_cast<std::size_t>(got);
    if (reader_.outstanding() == 0) {
        assert(received_ == bytes_);
        busy_ = false;
        complete_ = true;
        deadline_.stop();
        owner_.on_answer(*this);
    }
}

void Upstream::on_timeout() {
    std::string why = "no whole answer within " + shown_seconds(timeout_);
    if (!fd_) {
        why = "the name was not found within " + shown_seconds(timeout_);
    } else if (connecting_) {
        why = "cannot connect within " + shown_seconds(timeout_);
    } else {
        why += " (" + std::to_string(received_) + " of " + std::to_string(bytes_) + " bytes came)";
    }
    fail_with(why);
}

void Upstream::lost(const std::string& why) {
    if (!busy_) {
        // Between pushes: connected anew when the next one is due, so that a server that restarts does not
        // have all its clients at once.
        log::info("upstream: the connection has ended", {{"upstream", address_.text}, {"reason", why}});
        disconnect();
    } else if (reused_) {
        reused_ = false;
        disconnect();
        connect();
    } else {
        fail_with(received_ == 0 ? why
                                 : why + " (" + std::to_string(received_) + " of " + std::to_string(bytes_) +
                                       " bytes came)");
    }
}

void Upstream::fail_with(const std::string& why) {
    disconnect();
    resolver_.cancel();
    deadline_.stop();
    forget();
    busy_ = false;
    owner_.on_failure(*this, why);
}

void Upstream::disconnect() {
    io_.stop();
    attempt_.stop();
    addresses_.clear();
    fd_.reset();
    connecting_ = false;
}

Duration Upstream::left() const {
    return std::max(deadline_at_ - Loop::now(), Duration::zero());
}

} // namespace ekey
