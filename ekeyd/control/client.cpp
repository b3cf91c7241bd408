#include "ekeyd/control/client.h"

#include <cerrno>

#include <poll.h>
#include <sys/socket.h>

#include "ekeyd/control/server.h"

namespace ekey::control {

namespace {

// After the end of the client's lines: has it gone, or does it still read? TCP tells only when it is written
// to.
bool hung_up(int fd) {
    pollfd state{fd, 0, 0};
    return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

// The next try may go well; memory is short for others, too.
bool passes(int error) {
    return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

} // namespace

Client::Client(ControlServer& server, Fd socket)
    : server_(server), socket_(std::move(socket)),
      dialogue_(server.subject_, [this] { settle_.start(Duration::zero()); }), ready_(server.loop_),
      settle_(server.loop_) {
    ready_.bind<&Client::on_ready>(this);
    settle_.bind<&Client::on_settle>(this);
}

void Client::begin(Place place) {
    place_ = place;
    go_on();
}

void Client::on_ready(int events) {
    server_.touch(*this);
    if ((events & IoWatcher::unwatchable) != 0) {
        server_.remove(*this);
        return;
    }
    if ((events & IoWatcher::readable) != 0 && dialogue_.wants_input() && !receive()) {
        server_.remove(*this);
        return;
    }
    go_on();
}

void Client::on_settle() {
    dialogue_.settle();
    go_on();
}

bool Client::receive() {
    char piece[4096];
    const ssize_t got = ::recv(socket_.get(), piece, sizeof piece, MSG_DONTWAIT);
    if (got > 0) {
        dialogue_.receive({piece, static_cast<std::size_t>(got)});
        return true;
    }
    if (got == 0) {
        dialogue_.receive_end();
        return !(dialogue_.capturing() && hung_up(socket_.get()));
    }
    return passes(errno);
}

bool Client::send() {
    while (!dialogue_.output().empty()) {
        const std::string_view out = dialogue_.output();
        const ssize_t sent = ::send(socket_.get(), out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            return passes(errno);
        }
        dialogue_.consumed(static_cast<std::size_t>(sent));
    }
    return true;
}

void Client::go_on() {
    if (!send() || dialogue_.finished()) {
        server_.remove(*this);
        return;
    }
    ready_.watch(socket_.get(), (dialogue_.wants_input() ? IoWatcher::readable : 0) |
                                    (dialogue_.output().empty() ? 0 : IoWatcher::writable));
}

} // namespace ekey::control
