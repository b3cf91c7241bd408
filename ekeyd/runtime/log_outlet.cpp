#include "ekeyd/runtime/log_outlet.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>

namespace ekey::log {

namespace {

template <class Call>
ssize_t uninterrupted(Call call) {
    ssize_t done = 0;
    do {
        done = call();
    } while (done < 0 && errno == EINTR);
    return done;
}

} // namespace

// ---- standard error

bool StandardError::is_journal() {
    const char* const named = std::getenv("JOURNAL_STREAM");
    struct stat about {};
    return named != nullptr && fstat(STDERR_FILENO, &about) == 0 &&
           std::to_string(about.st_dev) + ':' + std::to_string(about.st_ino) == named;
}

void StandardError::open() {
    own_.reset();
    struct stat about {};
    const bool known = fstat(STDERR_FILENO, &about) == 0;
    socket_ = known && S_ISSOCK(about.st_mode);
    may_block_ = known && (S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode));
    if (may_block_) {
        // O_NONBLOCK belongs to the opened file, which the shell or whoever else started us may share.
        own_.reset(::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    }
}

bool StandardError::put(const std::string& text) const {
    if (may_block_ && !own_) { // not ours to open: the best that can be had
        pollfd room{STDERR_FILENO, POLLOUT, 0};
        if (::poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) {
            return false;
        }
    }
    const ssize_t written = uninterrupted([&] {
        if (socket_) {
            return ::send(STDERR_FILENO, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        return ::write(own_ ? own_.get() : STDERR_FILENO, text.data(), text.size());
    });
    return written > 0; // of a long line on a nearly full terminal a part may be missing
}

// ---- the system's log

void SystemLog::open() {
    tzset();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, _PATH_LOG, sizeof _PATH_LOG);
    for (const int kind : {SOCK_DGRAM, SOCK_STREAM}) {
        socket_.reset(socket(AF_UNIX, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        stream_ = kind == SOCK_STREAM;
        if (socket_ &&
            connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
            return;
        }
        const bool other_kind = errno == EPROTOTYPE;
        socket_.reset();
        if (!other_kind) {
            return;
        }
    }
}

SystemLog::Outcome SystemLog::send(const std::string& message) {
    if (!socket_) {
        return Outcome::gone;
    }
    // On a stream the ending NUL parts the messages.
    const std::size_t size = message.size() + (stream_ ? 1 : 0);
    const ssize_t sent = uninterrupted(
        [&] { return ::send(socket_.get(), message.c_str(), size, MSG_DONTWAIT | MSG_NOSIGNAL); });
    if (sent == static_cast<ssize_t>(size)) {
        return Outcome::done;
    }
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
        return Outcome::full;
    }
    socket_.reset(); // it was started anew, or took a part only
    return Outcome::gone;
}

bool SystemLog::put(int priority, const char* program, const std::string& line) {
    char when[32] = "";
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    if (localtime_r(&now, &parts) != nullptr) {
        std::strftime(when, sizeof when, "%b %e %T ", &parts);
    }
    const std::string message = "<" + std::to_string(priority | LOG_DAEMON) + ">" + when + program + "[" +
                                std::to_string(getpid()) + "]: " + line;
    Outcome outcome = send(message);
    if (outcome == Outcome::gone) {
        open();
        outcome = send(message);
    }
    return outcome == Outcome::done;
}

} // namespace ekey::log
