#include <array>
#include <cerrno>

#include "tests/softkey/line.h"

namespace ekey::softkey {

Stream::Stream(Loop& loop, Owner& owner) : owner_(owner), watcher_(loop) {
    watcher_.bind<&Stream::on_io>(this);
}

void Stream::attach(Fd fd, LineOwner& line_owner) {
    detach();
    fd_ = std::move(fd);
    line_owner_ = &line_owner;
    watch(true, false);
}

void Stream::detach() {
    watcher_.stop();
    fd_.reset();
}

void Stream::watch(bool input, bool writable) {
    if (attached()) {
        watcher_.watch(fd_.get(), (input ? IoWatcher::readable : 0) | (writable ? IoWatcher::writable : 0));
    }
}

std::size_t Stream::write(ByteView bytes) {
    if (!attached() || bytes.empty()) {
        return 0;
    }
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    if (written >= 0) {
        return static_cast<std::size_t>(written);
    }
    if (errno != EAGAIN && errno != EINTR) {
        close();
    }
    return 0;
}

void Stream::on_io(int events) {
    if ((events & IoWatcher::readable) != 0) {
        std::array<Byte, 4096> buffer{};
        const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
        if (got > 0) {
            line_owner_->on_input(ByteView(buffer).first(static_cast<std::size_t>(got)));
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            close();
        }
    }
    if (attached() && (events & IoWatcher::writable) != 0) {
        line_owner_->on_writable();
    }
}

void Stream::close() {
    detach();
    owner_.on_stream_closed();
}

} // namespace ekey::softkey
