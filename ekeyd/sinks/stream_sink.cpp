#include "ekeyd/sinks/stream_sink.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <unistd.h>

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {
constexpr Duration first_retry = std::chrono::milliseconds(500);
constexpr const char* no_reader = "no reader";
} // namespace

StreamSink::StreamSink(Loop& loop, Pool& pool, std::string address, std::uint64_t rate)
    : pool_(pool), address_(std::move(address)), rate_(rate), block_(block_size), retry_(loop), pace_(loop),
      room_(loop), next_retry_(first_retry) {
    retry_.bind<&StreamSink::open_and_go_on>(this);
    pace_.bind<&StreamSink::go_on>(this);
    room_.bind<&StreamSink::on_room>(this);
}

bool StreamSink::reopen() {
    auto fd = open();
    if (!fd) {
        failed(std::move(fd.error().what));
        return false;
    }
    fd_ = std::move(*fd);
    return true;
}

void StreamSink::open_and_go_on() {
    if (!reopen()) {
        return;
    }
    if (waits_for_room()) {
        room_.watch(fd_.get(), IoWatcher::writable);
    } else {
        go_on();
    }
}

void StreamSink::go_on() {
    if (!still_there(fd_.get()) && !reopen()) {
        return;
    }
    if (pending_ == 0 || write_pending()) {
        if (const Time now = Loop::now(); now < next_block_) {
            pace_.start(next_block_ - now);
        } else if (waits_for_room()) {
            room_.watch(fd_.get(), IoWatcher::writable);
        } else {
            join();
        }
    }
}

void StreamSink::on_room(int events) {
    room_.stop();
    if ((events & IoWatcher::unwatchable) != 0) {
        failed("the kernel watches no more descriptors");
        return;
    }
    pollfd now{fd_.get(), POLLOUT, 0};
    if (poll(&now, 1, 0) == 1 && (now.revents & POLLERR) != 0) {
        failed(no_reader); // before a block is taken for nobody
    } else if (pending_ > 0) {
        go_on();
    } else {
        join();
    }
}

void StreamSink::join() {
    pool_.turns().wait(*this);
    pool_.serve();
}

bool StreamSink::serve(Pool& pool) {
    if (!pool.take(block_.span())) {
        return true;
    }
    pending_ = block_size;
    const Duration pause = rest();
    next_block_ = Loop::now() + pause;
    if (!write_pending()) {
        return false;
    }
    if (pause > Duration::zero()) {
        pace_.start(pause);
        return false;
    }
    if (waits_for_room()) {
        room_.watch(fd_.get(), IoWatcher::writable);
        return false;
    }
    return true;
}

bool StreamSink::write_pending() {
    while (pending_ > 0) {
        Byte* const rest = block_.data() + (block_size - pending_);
        const ssize_t written = ::write(fd_.get(), rest, pending_);
        if (written > 0) {
            wipe({rest, static_cast<std::size_t>(written)});
            pending_ -= static_cast<std::size_t>(written);
            bytes_written_ += static_cast<std::size_t>(written);
        } else if (written < 0 && errno == EAGAIN && waits_for_room()) {
            room_.watch(fd_.get(), IoWatcher::writable);
            return false;
        } else if (written == 0 || errno != EINTR) {
            failed(written < 0 && errno == EPIPE ? no_reader : std::strerror(written < 0 ? errno : EIO));
            return false;
        }
    }
    if (state_ != "ok") {
        log::notice("the sink is written to again", {{"sink", address_}});
        state_ = "ok";
    }
    next_retry_ = first_retry;
    return true;
}

void StreamSink::failed(std::string why) {
    room_.stop();
    fd_.reset();
    if (state_ != why) {
        state_ = std::move(why);
        log::warning("the sink cannot be written to; trying again", {{"sink", address_}, {"reason", state_}});
    }
    retry_.start(next_retry_);
    next_retry_ = std::min(next_retry_ * 2, longest_retry());
}

Duration StreamSink::rest() const {
    if (rate_ > 0) {
        return std::chrono::duration_cast<Duration>(
            std::chrono::duration<double>(static_cast<double>(block_size) / static_cast<double>(rate_)));
    }
    return pool_.size() > pool_.capacity() / 2 ? Duration::zero() : rest_for_clients;
}

} // namespace ekey
