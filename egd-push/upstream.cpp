#include "egd-push/upstream.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <unistd.h>

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

std::string shown_seconds(Duration d) {
    char text[32];
    std::snprintf(text, sizeof text, "%g s", std::chrono::duration<double>(d).count());
    return text;
}

} // namespace

Upstream::Upstream(Loop& loop, UpstreamOwner& owner, const config::Address& address, std::size_t bytes,
                   Duration timeout)
    : owner_(owner), address_(address), bytes_(bytes), timeout_(timeout), connection_(loop, *this, address),
      io_(loop), deadline_(loop), answer_(bytes + 1) {
    assert(bytes > 0 && bytes <= egd::AnswerReader::max_outstanding * egd::max_count);
    io_.bind<&Upstream::on_readable>(this);
    deadline_.bind<&Upstream::on_timeout>(this);
}

void Upstream::ask() {
    assert(!busy_);
    forget();
    busy_ = true;
    deadline_at_ = Loop::now() + timeout_;
    deadline_.start(timeout_);
    reused_ = static_cast<bool>(connection_);
    if (reused_) {
        send_requests();
    } else {
        connection_.open(deadline_at_);
    }
}

void Upstream::forget() {
    wipe(answer_.span());
    received_ = 0;
    complete_ = false;
}

void Upstream::on_connected() {
    reader_ = {};
    if (is_device() && !discard_stale()) {
        fail_with("it gives bytes that nobody asked for");
        return;
    }
    send_requests();
}

// Unlike a connection, a device may hold what was meant for an earlier request, even of another program.
bool Upstream::discard_stale() {
    // More than a guest's port holds (32 buffers of a page, virtio_console.c) is no server's late answer.
    constexpr std::size_t most = 32 * 4096;
    for (std::size_t discarded = 0; discarded < most;) {
        const ssize_t got = ::read(connection_.fd(), answer_.data(), answer_.size());
        if (got <= 0) {
            forget();
            return true; // an end of file shows itself again when the answer is read
        }
        discarded += static_cast<std::size_t>(got);
    }
    return false;
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
    const ssize_t sent = ::write(connection_.fd(), out.data(), size);
    if (sent != static_cast<ssize_t>(size)) {
        lost(sent < 0 ? std::string("cannot send a request: ") + std::strerror(errno)
                      : std::string("takes no requests"));
        return;
    }
    io_.watch(connection_.fd(), IoWatcher::readable);
}

void Upstream::on_readable(int) {
    // One byte more than was asked for, so that a server that sends too much is noticed.
    const ByteSpan room = busy_ ? answer_.span().subspan(received_) : answer_.span().last(1);
    const ssize_t got = ::read(connection_.fd(), room.data(), is_device() ? room.size() - 1 : room.size());
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
        complete();
    }
}

void Upstream::complete() {
    assert(received_ == bytes_);
    if (is_device()) {
        // Others may use it meanwhile, and a host that goes away leaves nothing here to be woken by.
        disconnect();
    }
    busy_ = false;
    complete_ = true;
    deadline_.stop();
    owner_.on_answer(*this);
}

void Upstream::on_timeout() {
    const std::string within = " within " + shown_seconds(timeout_);
    if (const char* what = connection_.waits_for()) {
        fail_with(what + within);
    } else {
        fail_with("no whole answer" + within + " (" + std::to_string(received_) + " of " +
                  std::to_string(bytes_) + " bytes came)");
    }
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
        connection_.open(deadline_at_);
    } else {
        fail_with(received_ == 0 ? why
                                 : why + " (" + std::to_string(received_) + " of " + std::to_string(bytes_) +
                                       " bytes came)");
    }
}

void Upstream::fail_with(const std::string& why) {
    disconnect();
    deadline_.stop();
    forget();
    busy_ = false;
    owner_.on_failure(*this, why);
}

void Upstream::disconnect() {
    io_.stop();
    connection_.close();
}

} // namespace ekey
