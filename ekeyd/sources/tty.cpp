#include "ekeyd/sources/tty.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ekeyd/sources/port.h"

namespace ekey {

TtyLink::TtyLink(Loop& loop, Fd fd, LinkOwner& owner)
    : fd_(std::move(fd)), owner_(owner), watcher_(loop), turn_(loop) {
    watcher_.bind<&TtyLink::on_ready>(this);
    turn_.bind<&TtyLink::on_turn>(this);
    turn_.start(Duration::zero());
}

LinkOpener TtyLink::opener(Loop& loop, std::string path, unsigned baud) {
    return [&loop, path = std::move(path), baud](LinkOwner& owner) -> Result<std::unique_ptr<Link>> {
        auto fd = open_port(path, baud);
        if (!fd) {
            return tl::unexpected(fd.error());
        }
        return std::make_unique<TtyLink>(loop, std::move(*fd), owner);
    };
}

void TtyLink::watch(bool on) {
    watched_ = on;
    if (on) {
        watcher_.watch(fd_.get(), IoWatcher::readable);
    } else {
        watcher_.stop();
    }
}

std::size_t TtyLink::write(ByteView bytes) {
    if (!fd_) {
        return 0;
    }
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    const std::size_t taken = written > 0 ? static_cast<std::size_t>(written) : 0;
    blocked_ = taken < bytes.size(); // an error other than EAGAIN shows itself at the next read
    return taken;
}

void TtyLink::pause(bool on) {
    if (!fd_) {
        return;
    }
    paused_ = on;
    watch(false);
    turn_.start(Duration::zero());
}

void TtyLink::on_ready(int events) {
    if ((events & IoWatcher::unwatchable) != 0) {
        watch(false); // the clock does, more slowly
    } else if ((events & IoWatcher::readable) != 0) {
        read();
    }
}

void TtyLink::on_turn() {
    turn_.start(turn);
    const bool much = std::exchange(brought_, 0) >= fast;
    if (watched_ && !much) {
        watch(false);
    }
    if (std::exchange(blocked_, false)) {
        owner_.on_writable();
    }
    if (!watched_ && !paused_) {
        read();
    }
}

void TtyLink::read() {
    // 32 frames: at 86 frames a second a third of a second. What comes is sealed by the dongle; it needs no
    // locked memory.
    std::array<Byte, fast> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): filled by read
    const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        const std::string why = got == 0 ? "closed by the other side" : std::strerror(errno);
        watcher_.stop();
        turn_.stop();
        // At once: while we hold the tty of a dongle that is gone, the kernel gives the dongle another number
        // when it comes back, and we would wait for this one in vain.
        fd_.reset();
        owner_.on_lost(why);
        return; // the owner may have destroyed us
    }
    if (got <= 0) {
        return;
    }
    brought_ += static_cast<std::size_t>(got);
    if (brought_ >= fast && !watched_) {
        watch(true);
    }
    owner_.on_bytes(ByteView(buffer).first(static_cast<std::size_t>(got)));
}

} // namespace ekey
