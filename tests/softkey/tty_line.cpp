#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "tests/softkey/line.h"

namespace ekey::softkey {

namespace {

constexpr Duration retry = std::chrono::seconds(1);

class TtyLine final : public Line, Stream::Owner {
  public:
    TtyLine(Loop& loop, std::string path) : path_(std::move(path)), stream_(loop, *this), retry_(loop) {
        retry_.bind<&TtyLine::open_again>(this);
    }
    ~TtyLine() override { unplug(); }

    Result<void> plug_in(LineOwner& owner) override {
        owner_ = &owner;
        Fd fd(::open(path_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
        termios settings{};
        if (!fd || ::tcgetattr(fd.get(), &settings) != 0) {
            return fail("--tty " + path_ + ": " + std::strerror(errno));
        }
        ::cfmakeraw(&settings);
        settings.c_cflag |= CLOCAL;
        if (::tcsetattr(fd.get(), TCSANOW, &settings) != 0) {
            return fail("--tty " + path_ + ": cannot be made raw: " + std::strerror(errno));
        }
        stream_.attach(std::move(fd), owner);
        return {};
    }

    void unplug() override {
        retry_.stop();
        stream_.detach();
    }

    std::size_t write(ByteView bytes) override { return stream_.write(bytes); }
    bool has_host() const override { return stream_.attached(); }
    std::size_t unread() const override {
        int bytes = 1;
        return stream_.attached() && ::ioctl(stream_.fd(), TIOCOUTQ, &bytes) == 0
                   ? static_cast<std::size_t>(bytes)
                   : 1;
    }
    void watch(bool input, bool writable) override { stream_.watch(input, writable); }

  private:
    void on_stream_closed() override {
        retry_.start(retry);
        owner_->on_host_changed();
    }

    void open_again() {
        if (!plug_in(*owner_)) {
            retry_.start(retry);
            return;
        }
        // A host that was unplugged took the power of a true key with it.
        owner_->on_powered_up();
    }

    std::string path_;
    LineOwner* owner_ = nullptr;
    Stream stream_;
    Timer retry_;
};

} // namespace

std::unique_ptr<Line> tty_line(Loop& loop, std::string path) {
    return std::make_unique<TtyLine>(loop, std::move(path));
}

} // namespace ekey::softkey
