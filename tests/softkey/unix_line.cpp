#include <cerrno>
#include <filesystem>
#include <optional>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "ekeyd/runtime/unix_socket.h"
#include "tests/softkey/line.h"

namespace ekey::softkey {

namespace {

// A USB device holds a frame or two; a socket with its usual buffer would run minutes ahead of its reader.
// The kernel rounds this up to the least that it allows (socket(7), SO_SNDBUF).
constexpr int send_buffer = 2048;

class UnixLine final : public Line, Stream::Owner {
  public:
    UnixLine(Loop& loop, const std::string& path)
        : path_(std::filesystem::absolute(path)), accept_(loop), stream_(loop, *this) {
        accept_.bind<&UnixLine::on_connection>(this);
    }

    Result<void> plug_in(LineOwner& owner) override {
        owner_ = &owner;
        auto listener =
            UnixListener::open({.path = path_, .mode = 0600, .user = {}, .group = {}, .backlog = 8});
        if (!listener) {
            return tl::unexpected(listener.error());
        }
        listener_ = std::move(*listener);
        accept_.watch(listener_->fd(), IoWatcher::readable);
        return {};
    }

    void unplug() override {
        accept_.stop();
        listener_.reset();
        stream_.detach();
    }

    std::size_t write(ByteView bytes) override { return stream_.write(bytes); }
    bool has_host() const override { return stream_.attached(); }
    std::size_t unread() const override {
        int bytes = 1;
        return stream_.attached() && ::ioctl(stream_.fd(), SIOCOUTQ, &bytes) == 0
                   ? static_cast<std::size_t>(bytes)
                   : 1;
    }
    void watch(bool input, bool writable) override { stream_.watch(input, writable); }

  private:
    void on_connection(int) {
        Fd host(::accept4(listener_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!host) {
            return;
        }
        ::setsockopt(host.get(), SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
        accept_.stop(); // one at a time, as a tty has one line
        stream_.attach(std::move(host), *owner_);
        owner_->on_host_changed();
    }

    void on_stream_closed() override {
        accept_.watch(listener_->fd(), IoWatcher::readable);
        owner_->on_host_changed();
    }

    std::string path_;
    LineOwner* owner_ = nullptr;
    std::optional<UnixListener> listener_;
    IoWatcher accept_;
    Stream stream_;
};

} // namespace

std::unique_ptr<Line> unix_line(Loop& loop, const std::string& path) {
    return std::make_unique<UnixLine>(loop, path);
}

} // namespace ekey::softkey
