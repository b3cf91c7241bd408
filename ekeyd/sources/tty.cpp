#include "ekeyd/sources/tty.h"

#include <array>
#include <cerrno>
#include <cstring>

#include "ekeyd/sources/port.h"

namespace ekey {

TtyLink::TtyLink(Loop& loop, Fd fd, LinkOwner& owner)
    : fd_(std::move(fd)), owner_(owner), watcher_(loop), rest_(loop) {
    watcher_.bind<&TtyLink::on_ready>(this);
    rest_.bind<&TtyLink::on_rested>(this);
    watch();
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

void TtyLink::watch() {
    watcher_.watch(fd_.get(),
                   (paused_ || resting_ ? 0 : IoWatcher::readable) | (blocked_ ? IoWatcher::writable : 0));
}

void TtyLink::on_rested() {
    resting_ = false;
    watch();
}

std::size_t TtyLink::write(ByteView bytes) {
    if (!fd_) {
        return 0;
    }
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    const std::size_t taken = written > 0 ? static_cast<std::size_t>(written) : 0;
    blocked_ = taken < bytes.size(); // an error other than EAGAIN shows itself at the next read
    watch();
    return taken;
}

void TtyLink::pause(bool on) {
    paused_ = on;
    if (fd_) {
        watch();
    }
}

void TtyLink::on_ready(int events) {
    if ((events & IoWatcher::unwatchable) != 0) {
        owner_.on_lost("the kernel watches no more descriptors");
        return;
    }
    if ((events & IoWatcher::readable) != 0 && !paused_ && !resting_) {
        // 32 frames: at 86 frames a second a third of a second. What comes is sealed by the dongle; it needs
        // no locked memory.
        std::array<Byte, 2048> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): filled by read
        const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            const std::string why = got == 0 ? "closed by the other side" : std::strerror(errno);
            watcher_.stop();
            rest_.stop();
            // At once: while we hold the tty of a dongle that is gone, the kernel gives the dongle another
            // number when it comes back, and we would wait for this one in vain.
            fd_.reset();
            owner_.on_lost(why);
            return; // the owner may have destroyed us
        }
        if (got > 0) {
            if (static_cast<std::size_t>(got) < short_read) {
                resting_ = true;
                rest_.start(rest);
                watch();
            }
            if ((events & IoWatcher::writable) != 0 && blocked_) {
                blocked_ = false;
                watch();
                owner_.on_writable();
            }
            owner_.on_bytes(ByteView(buffer).first(static_cast<std::size_t>(got)));
            return;
        }
    }
    if ((events & IoWatcher::writable) != 0 && blocked_) {
        blocked_ = false;
        watch();
        owner_.on_writable();
    }
}

} // namespace ekey
