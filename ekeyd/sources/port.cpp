#include "ekeyd/sources/port.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

namespace ekey {

namespace {

std::string reason(int error) {
    return std::strerror(error);
}

Result<Fd> connect_socket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return fail(path + ": the path of a Unix socket has at most " +
                    std::to_string(sizeof address.sun_path - 1) + " characters");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return fail(path + ": cannot make a socket: " + reason(errno));
    }
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return fail(path + ": cannot connect: " + reason(errno));
    }
    return fd;
}

std::optional<speed_t> speed_of(unsigned baud) {
    struct Row {
        unsigned baud;
        speed_t speed;
    };
    static constexpr std::array rows{
        Row{110, B110},       Row{300, B300},       Row{1200, B1200},     Row{2400, B2400},
        Row{4800, B4800},     Row{9600, B9600},     Row{19200, B19200},   Row{38400, B38400},
        Row{57600, B57600},   Row{115200, B115200}, Row{230400, B230400}, Row{460800, B460800},
        Row{921600, B921600},
    };
    const auto* row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.baud == baud; });
    return row == rows.end() ? std::nullopt : std::optional(row->speed);
}

Result<void> make_raw(int fd, const std::string& path, unsigned baud) {
    termios settings{};
    if (tcgetattr(fd, &settings) != 0) {
        return fail(path + ": is neither a tty nor a Unix socket");
    }
    cfmakeraw(&settings);
    settings.c_cflag |= CLOCAL | CREAD | CS8;
    settings.c_cflag &= ~static_cast<tcflag_t>(HUPCL | PARENB | CSTOPB | CRTSCTS);
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    const auto speed = speed_of(baud);
    if (!speed) {
        return fail(path + ": a tty has no rate of " + std::to_string(baud) + " baud");
    }
    cfsetspeed(&settings, *speed);
    if (tcsetattr(fd, TCSANOW, &settings) != 0) {
        return fail(path + ": cannot be set to raw mode: " + reason(errno));
    }
    tcflush(fd, TCIFLUSH); // what arrived before we asked is of no session of ours
    return {};
}

} // namespace

bool baud_known(unsigned baud) {
    return speed_of(baud).has_value();
}

Result<Fd> open_port(const std::string& path, unsigned baud) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) {
        return fail(path + ": " + reason(errno));
    }
    if (S_ISSOCK(status.st_mode)) {
        return connect_socket(path);
    }
    if (!S_ISCHR(status.st_mode)) {
        return fail(path + ": is neither a tty nor a Unix socket");
    }
    Fd fd(open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (!fd) {
        return fail(path + ": cannot be opened: " + reason(errno));
    }
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(path +
                    ": is in use: another program holds its lock, or this one has it under another name");
    }
    if (auto raw = make_raw(fd.get(), path, baud); !raw) {
        return tl::unexpected(raw.error());
    }
    return fd;
}

} // namespace ekey
