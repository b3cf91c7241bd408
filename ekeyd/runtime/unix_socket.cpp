#include "ekeyd/runtime/unix_socket.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include <sys/socket.h>
#include <sys/un.h>

#include "ekeyd/runtime/access_list.h"
#include "ekeyd/runtime/account.h"
#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

std::string reason() {
    return std::strerror(errno);
}

std::optional<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return std::nullopt;
    }
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

// Whom a socket's file is given to, as chown(2) takes it: -1 leaves it as it is.
struct Owner {
    uid_t user = static_cast<uid_t>(-1);
    gid_t group = static_cast<gid_t>(-1);
};

Result<Owner> find_owner(const UnixListener::Options& options) {
    Owner owner;
    if (!options.user.empty()) {
        const auto user = find_user(options.user);
        if (!user) {
            return tl::unexpected(user.error());
        }
        owner.user = *user;
    }
    if (!options.group.empty()) {
        const auto group = find_group(options.group);
        if (!group) {
            return tl::unexpected(group.error());
        }
        owner.group = *group;
    }
    return owner;
}

// Removes what a killed process left; says why when the path is taken.
Result<void> clear_path(const std::string& path, const sockaddr_un& address) {
    struct stat about {};
    if (lstat(path.c_str(), &about) != 0) {
        return {}; // bind() tells what is wrong, if anything is
    }
    if (!S_ISSOCK(about.st_mode)) {
        return fail("something that is no socket is there: remove it or choose another path");
    }
    const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) {
        return fail(reason());
    }
    if (connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN ||
        errno == EPROTOTYPE) {
        return fail("another program listens there: is ekeyd running already?");
    }
    if (errno != ECONNREFUSED) {
        return fail("a socket is there and cannot be tried (" + reason() + ')');
    }
    if (unlink(path.c_str()) != 0) {
        return fail("a socket that nobody uses is there and cannot be removed (" + reason() + ')');
    }
    return {};
}

// What a passed socket's file grants beyond what was asked for, with the remedy; empty when it does not.
std::string beyond(const UnixListener::Options& options, const Owner& owner) {
    struct stat about {};
    if (stat(options.path.c_str(), &about) != 0 || !S_ISSOCK(about.st_mode)) {
        return "the service manager passed a socket whose file is gone: restart its socket unit";
    }
    const unsigned mode = about.st_mode & 0777;
    if ((mode & ~options.mode) != 0) {
        char text[128];
        std::snprintf(
            text, sizeof text,
            "the service manager made it with mode %04o, and mode here is %04o: give its socket unit "
            "SocketMode=%04o",
            mode, options.mode, options.mode);
        return text;
    }
    if (!options.user.empty() && about.st_uid != owner.user) {
        return "the service manager gave it to another user: give its socket unit SocketUser=" + options.user;
    }
    if (!options.group.empty() && about.st_gid != owner.group) {
        return "the service manager gave it to another group: give its socket unit SocketGroup=" +
               options.group;
    }
    return {};
}

// Only root may give a file away; others let in whom they name.
Result<void> grant(const UnixListener::Options& options, const Owner& owner) {
    const char* const path = options.path.c_str();
    const bool give = !options.user.empty() || !options.group.empty();
    if (give && lchown(path, owner.user, owner.group) != 0) {
        const std::string why = reason();
        const auto shared = share_file(options.path, options.mode,
                                       options.user.empty() ? std::nullopt : std::optional(owner.user),
                                       options.group.empty() ? std::nullopt : std::optional(owner.group));
        if (!shared) {
            return fail("cannot give it to " + options.user +
                        (options.group.empty() ? "" : ':' + options.group) + " (" + why +
                        "), nor share it (" + shared.error().what + ')');
        }
        return {};
    }
    if (chmod(path, options.mode) != 0) {
        return fail(reason());
    }
    return {};
}

void make_folder(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash != std::string::npos && slash > 0) {
        mkdir(path.substr(0, slash).c_str(), 0755); // bind() tells what is wrong, if anything is
    }
}

} // namespace

Result<UnixListener> UnixListener::open(const Options& options) {
    const auto refuse = [&](const std::string& why) {
        return fail("cannot listen on " + options.path + ": " + why);
    };
    const auto address = address_of(options.path);
    if (!address) {
        return refuse("the path must have 1 to 107 bytes");
    }
    const auto owner = find_owner(options);
    if (!owner) {
        return refuse(owner.error().what);
    }
    auto passed = options.passed.take(generic(*address));
    if (!passed) {
        return refuse(passed.error().what);
    }
    if (*passed) {
        if (const std::string why = beyond(options, *owner); !why.empty()) {
            return refuse(why);
        }
        return UnixListener(std::move(*passed), options.path); // without an inode: it is not ours to remove
    }
    make_folder(options.path);
    if (auto clear = clear_path(options.path, *address); !clear) {
        return refuse(clear.error().what);
    }

    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // Linux gives the path the socket's own mode, less the umask. Nobody can connect before listen() in any
    // case.
    if (!fd || fchmod(fd.get(), 0) != 0 || bind(fd.get(), generic(*address), sizeof *address) != 0) {
        return refuse(reason());
    }
    UnixListener listener(std::move(fd), options.path);
    struct stat about {};
    if (lstat(options.path.c_str(), &about) != 0) {
        return refuse(reason());
    }
    listener.device_ = about.st_dev;
    listener.inode_ = about.st_ino;
    if (auto granted = grant(options, *owner); !granted) {
        return refuse(granted.error().what);
    }
    if (::listen(listener.fd(), options.backlog) != 0) {
        return refuse(reason());
    }
    return listener;
}

Result<void> UnixListener::change_access(const Options& options) {
    const auto refuse = [&](const std::string& why) {
        return fail("cannot change the access to " + path_ + ": " + why);
    };
    const auto owner = find_owner(options);
    if (!owner) {
        return refuse(owner.error().what);
    }
    if (inode_ == 0) { // it was passed
        const std::string why = beyond(options, *owner);
        return why.empty() ? Result<void>() : refuse(why);
    }
    struct stat before {};
    if (lstat(path_.c_str(), &before) != 0) {
        return refuse(reason());
    }
    if (before.st_dev != device_ || before.st_ino != inode_) {
        return refuse("another file is there now");
    }
    // Whom the options do not name has no part in it any more. Only root can have given it away, and root can
    // take it back.
    const bool ours = before.st_uid == geteuid() && before.st_gid == getegid();
    if (!ours && lchown(path_.c_str(), geteuid(), getegid()) != 0) {
        return refuse(reason());
    }
    // (A file system without access lists has let in nobody else.)
    static_cast<void>(share_file(path_, options.mode, std::nullopt, std::nullopt));
    if (auto granted = grant(options, *owner); !granted) {
        const bool back = lchown(path_.c_str(), before.st_uid, before.st_gid) == 0 &&
                          chmod(path_.c_str(), before.st_mode & 07777) == 0;
        return refuse(granted.error().what + (back ? "" : "; nor give back the access there was"));
    }
    return {};
}

void UnixListener::remove() {
    struct stat about {};
    if (inode_ != 0 && lstat(path_.c_str(), &about) == 0 && about.st_dev == device_ &&
        about.st_ino == inode_ && unlink(path_.c_str()) != 0) {
        log::warning("the socket file is left behind", {{"path", path_}, {"reason", reason()}});
    }
    inode_ = 0;
}

UnixListener::~UnixListener() {
    remove();
}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : fd_(std::move(other.fd_)), path_(std::move(other.path_)), device_(other.device_),
      inode_(std::exchange(other.inode_, 0)) {}

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
    if (this != &other) {
        remove();
        fd_ = std::move(other.fd_);
        path_ = std::move(other.path_);
        device_ = other.device_;
        inode_ = std::exchange(other.inode_, 0);
    }
    return *this;
}

Result<Fd> connect_unix(const std::string& path) {
    const auto address = address_of(path);
    if (!address) {
        return fail("the path must have 1 to 107 bytes");
    }
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd || connect(fd.get(), generic(*address), sizeof *address) != 0) {
        return fail(reason());
    }
    return fd;
}

} // namespace ekey
