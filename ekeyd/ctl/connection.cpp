#include "ekeyd/ctl/connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include "ekeyd/config/address.h"
#include "ekeyd/runtime/unix_socket.h"

namespace ekey::ctl {

namespace {

// No daemon of ours writes longer lines or more rows; what does is not ekeyd.
constexpr std::size_t longest_line = 65536;
constexpr std::size_t most_rows = 100000;

Result<Fd> connect_tcp(const std::string& rest) {
    const auto host_port = config::parse_host_port(rest);
    if (!host_port) {
        return fail(host_port.error().what);
    }
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(host_port->port);
    if (const int error = getaddrinfo(host_port->host.c_str(), port.c_str(), &hints, &found); error != 0) {
        return fail(gai_strerror(error));
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> release(found, freeaddrinfo);
    Fd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), found->ai_addr, found->ai_addrlen) != 0) {
        return fail(std::strerror(errno));
    }
    return fd;
}

Result<Fd> connect(const std::string& where) {
    if (where.starts_with("tcp:")) {
        return connect_tcp(where.substr(4));
    }
    return connect_unix(where.starts_with("unix:") ? where.substr(5) : where);
}

std::string shown(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 64)) {
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
    return out;
}

} // namespace

Result<Connection> Connection::open(const std::string& where, std::span<const int> interruptors) {
    auto fd = connect(where);
    if (!fd) {
        const bool denied = fd.error().what == std::strerror(EACCES);
        return fail("cannot connect to " + where + ": " + fd.error().what +
                    (denied ? ": run this as root, or as a user whom the socket is given to"
                            : ": is ekeyd running?"));
    }
    Connection connection(std::move(*fd), where);
    connection.end_wait_on(interruptors);
    std::string line;
    const auto greeted = connection.read_line(line, answer_timeout);
    if (!greeted) {
        return fail(greeted.error().what);
    }
    if (!*greeted || !line.starts_with("PROTOCOL EKEYD/")) {
        return fail(where + " is not a control socket of ekeyd: it says \"" + shown(line) + '"');
    }
    return connection;
}

Result<void> Connection::send(std::string_view command) {
    const std::string line = std::string(command) + '\n';
    std::size_t done = 0;
    while (done < line.size()) {
        const ssize_t sent = ::send(fd_.get(), line.data() + done, line.size() - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return fail("ekeyd at " + where_ + " has closed the connection (" + std::strerror(errno) + ')');
        }
        done += sent > 0 ? static_cast<std::size_t>(sent) : 0;
    }
    return {};
}

Result<bool> Connection::read_line(std::string& line, std::optional<Duration> timeout) {
    const int wait =
        timeout ? static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(*timeout).count())
                : -1;
    for (;;) {
        if (const std::size_t end = in_.find('\n'); end != std::string::npos) {
            line = in_.substr(0, end);
            in_.erase(0, end + 1);
            return true;
        }
        if (in_.size() > longest_line) {
            return fail(where_ + " is not a control socket of ekeyd: a line is longer than 64 KiB");
        }
        std::vector<pollfd> ready{{fd_.get(), POLLIN, 0}};
        for (const int interruptor : interruptors_) {
            ready.push_back({interruptor, POLLIN, 0});
        }
        const int count = ::poll(ready.data(), ready.size(), wait);
        if (std::any_of(ready.begin() + 1, ready.end(), [](const pollfd& p) { return p.revents != 0; })) {
            return fail(std::string(interrupted));
        }
        if (count == 0) {
            return fail("ekeyd at " + where_ + " has not answered for " +
                        std::to_string(std::chrono::duration_cast<std::chrono::seconds>(*timeout).count()) +
                        " s: is it stopped or overloaded?");
        }
        char piece[16384];
        const ssize_t got = count < 0 ? -1 : ::recv(fd_.get(), piece, sizeof piece, 0);
        if (got > 0) {
            in_.append(piece, static_cast<std::size_t>(got));
        } else if (got == 0 || errno == ECONNRESET) {
            return false;
        } else if (errno != EINTR) {
            return fail("cannot read from " + where_ + ": " + std::strerror(errno));
        }
    }
}

Result<Connection::Line> Connection::next(std::optional<Duration> timeout) {
    std::string line;
    const auto got = read_line(line, timeout);
    if (!got) {
        return fail(got.error().what);
    }
    if (!*got) {
        return Line{Line::Type::end, {}};
    }
    if (line.starts_with("*\t")) {
        return Line{Line::Type::row, line.substr(2)};
    }
    if (line == "OK" || line.starts_with("OK ")) {
        return Line{Line::Type::ok, line.size() > 3 ? line.substr(3) : ""};
    }
    if (line.starts_with("ERROR")) {
        return fail(line.size() > 6 ? line.substr(6) : "ekeyd gave no reason");
    }
    return fail(where_ + " is not a control socket of ekeyd: it says \"" + shown(line) + '"');
}

Result<Connection::Answer> Connection::ask(std::string_view command) {
    if (auto sent = send(command); !sent) {
        return fail(sent.error().what);
    }
    Answer answer;
    for (;;) {
        auto line = next();
        if (!line) {
            return fail(line.error().what);
        }
        if (line->type == Line::Type::ok) {
            answer.ok = std::move(line->text);
            return answer;
        }
        if (line->type == Line::Type::end) {
            return fail("ekeyd at " + where_ + " has closed the connection before it answered");
        }
        if (answer.rows.size() == most_rows) {
            return fail(where_ + " is not a control socket of ekeyd: its answer does not end");
        }
        answer.rows.push_back(std::move(line->text));
    }
}

} // namespace ekey::ctl
