#include "egd-push/device.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <termios.h>

namespace ekey {

Result<Fd> open_device(const std::string& path) {
    Fd fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!fd) {
        switch (errno) {
        case EBUSY: return fail("cannot open the device: another program has it open");
        case ENOENT: return fail("there is no such device (yet)");
        default: return fail(std::string("cannot open the device: ") + std::strerror(errno));
        }
    }
    struct stat about {};
    if (fstat(fd.get(), &about) != 0 || !S_ISCHR(about.st_mode)) {
        return fail("this is no character device");
    }
    termios line{};
    if (tcgetattr(fd.get(), &line) == 0) {
        cfmakeraw(&line);
        tcsetattr(fd.get(), TCSANOW, &line);
        tcflush(fd.get(), TCIFLUSH);
    }
    pollfd now{fd.get(), POLLOUT, 0};
    if (poll(&now, 1, 0) < 0 || (now.revents & POLLHUP) != 0) {
        return fail("nobody is at the other end of the device");
    }
    return fd;
}

} // namespace ekey
