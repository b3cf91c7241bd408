#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "tests/softkey/line.h"

namespace ekey::softkey {

namespace {

namespace fs = std::filesystem;

class PtyLine final : public Line, Stream::Owner {
  public:
    PtyLine(Loop& loop, std::string link) : link_(std::move(link)), stream_(loop, *this) {}
    ~PtyLine() override { unplug(); }

    Result<void> plug_in(LineOwner& owner) override {
        auto master = open_pair();
        if (!master) {
            return tl::unexpected(master.error());
        }
        if (auto linked = make_link(); !linked) {
            slave_.reset();
            return linked;
        }
        stream_.attach(std::move(*master), owner);
        return {};
    }

    void unplug() override {
        if (!slave_) {
            return;
        }
        // The link goes first, and only if it is still ours: the next pseudo-terminal may get the same
        // number.
        std::error_code none;
        if (fs::is_symlink(link_, none) && fs::read_symlink(link_, none) == name_) {
            fs::remove(link_, none);
        }
        stream_.detach();
        slave_.reset();
    }

    std::size_t write(ByteView bytes) override { return stream_.write(bytes); }
    bool has_host() const override { return true; }
    std::size_t unread() const override {
        int bytes = 1;
        return slave_ && ::ioctl(slave_.get(), FIONREAD, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 1;
    }
    void watch(bool input, bool writable) override { stream_.watch(input, writable); }

  private:
    // Cannot come while the slave is held open.
    void on_stream_closed() override {}

    Result<Fd> open_pair() {
        Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
        std::array<char, 64> name{};
        if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0 ||
            ::ptsname_r(master.get(), name.data(), name.size()) != 0) {
            return fail(std::string("cannot make a pseudo-terminal: ") + std::strerror(errno));
        }
        name_ = name.data();
        // Held open: without a slave the master reports an error instead of "no host yet", and the settings
        // would be lost whenever a host closes it.
        slave_.reset(::open(name_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        termios settings{};
        if (!slave_ || ::tcgetattr(slave_.get(), &settings) != 0) {
            return fail("cannot open " + name_ + ": " + std::strerror(errno));
        }
        ::cfmakeraw(&settings); // no echo of our frames before a host has set its own mode
        if (::tcsetattr(slave_.get(), TCSANOW, &settings) != 0) {
            return fail("cannot make " + name_ + " raw: " + std::strerror(errno));
        }
        return master;
    }

    Result<void> make_link() {
        std::error_code error;
        const auto old = fs::symlink_status(link_, error);
        if (fs::exists(old) && !fs::is_symlink(old)) {
            return fail("--pty " + link_ + ": something that is no symbolic link is in the way");
        }
        const std::string temporary = link_ + "." + std::to_string(::getpid());
        fs::create_symlink(name_, temporary, error);
        if (!error) {
            fs::rename(temporary, link_, error);
        }
        if (error) {
            std::error_code none;
            fs::remove(temporary, none);
            return fail("--pty " + link_ + ": " + error.message());
        }
        return {};
    }

    std::string link_, name_;
    Fd slave_;
    Stream stream_;
};

} // namespace

std::unique_ptr<Line> pty_line(Loop& loop, std::string link) {
    return std::make_unique<PtyLine>(loop, std::move(link));
}

} // namespace ekey::softkey
