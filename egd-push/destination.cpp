#include "egd-push/destination.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace ekey {

namespace {

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> write_all(int fd, ByteView bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written > 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        } else if (written == 0 || errno != EINTR) {
            return fail(std::strerror(written == 0 ? EIO : errno));
        }
    }
    return {};
}

// A file that is removed again unless it was renamed into place.
struct Temporary {
    explicit Temporary(const std::string& beside) : path(beside + ".XXXXXX") {
        fd.reset(mkostemp(path.data(), O_CLOEXEC)); // mode 0600
    }
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;
    ~Temporary() {
        if (fd && !kept) {
            unlink(path.c_str());
        }
    }
    std::string path;
    Fd fd;
    bool kept = false;
};

Result<void> mark(const Temporary& file) {
    // As systemd writes it itself; it takes any yes of its own (parse_boolean()).
    if (fsetxattr(file.fd.get(), FileDestination::systemd_mark, "1", 1, 0) == 0) {
        return {};
    }
    return fail("cannot mark a seed in " + folder_of(file.path) + " as creditable: " +
                (errno == EOPNOTSUPP
                     ? "its file system keeps no attributes of users (xattr(7)): choose another one, or "
                       "leave out seed=yes"
                     : std::strerror(errno)));
}

} // namespace

Result<std::unique_ptr<Destination>> FileDestination::make(const std::string& path, Kind kind) {
    struct stat info {};
    if (lstat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
        return fail(path + " is no regular file, and would be replaced by one");
    }
    const std::string folder = folder_of(path);
    if (access(folder.c_str(), W_OK | X_OK) != 0) {
        return fail("cannot write to the folder " + folder + ": " + std::strerror(errno));
    }
    if (kind == Kind::seed) {
        // Before anything is fetched for it.
        const Temporary probe(path);
        if (const auto marked = probe.fd ? mark(probe) : Result<void>(); !marked) {
            return tl::unexpected(marked.error());
        }
    }
    return std::unique_ptr<Destination>(new FileDestination(path, kind));
}

Result<unsigned> FileDestination::push(ByteView bytes, unsigned bits) {
    Temporary file(path_);
    if (!file.fd) {
        return fail("cannot make a file beside " + path_ + ": " + std::strerror(errno));
    }
    if (const auto written = write_all(file.fd.get(), bytes); !written) {
        return fail("cannot write " + file.path + ": " + written.error().what);
    }
    const bool worth = bits >= 8 * bytes.size();
    if (kind_ == Kind::seed && worth) {
        if (const auto marked = mark(file); !marked) {
            return tl::unexpected(marked.error());
        }
    }
    if (fsync(file.fd.get()) != 0) {
        return fail("cannot write " + file.path + ": " + std::strerror(errno));
    }
    if (rename(file.path.c_str(), path_.c_str()) != 0) {
        return fail("cannot replace " + path_ + ": " + std::strerror(errno));
    }
    file.kept = true;
    // Without this, the new name may be lost with the power; the old file is then there.
    if (const Fd folder(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); folder) {
        fsync(folder.get());
    }
    if (kind_ == Kind::seed && !worth) {
        return fail(path_ + " is written, and not marked as creditable: none of what came may be credited");
    }
    return kind_ == Kind::seed ? static_cast<unsigned>(8 * bytes.size()) : 0;
}

bool StreamDestination::can_take() const {
    pollfd now{fd_, POLLOUT, 0};
    return poll(&now, 1, 0) == 1;
}

Result<unsigned> StreamDestination::push(ByteView bytes, unsigned) {
    // A pipe that poll() calls writable has room for PIPE_BUF bytes (pipe(7)), which no push exceeds.
    static_assert(KernelPool::longest <= 4096);
    if (!can_take()) {
        return fail("standard output takes nothing now");
    }
    if (const auto written = write_all(fd_, bytes); !written) {
        gone_ = true; // part of a push may be out: whatever followed would be out of step
        return fail("cannot write to standard output: " + written.error().what);
    }
    return 0;
}

Result<std::unique_ptr<Destination>> make_destination(const config::Address& to, bool seed) {
    if (to.kind == "file") {
        return FileDestination::make(to.rest,
                                     seed ? FileDestination::Kind::seed : FileDestination::Kind::plain);
    }
    if (to.kind == "-") {
        return std::make_unique<StreamDestination>(STDOUT_FILENO);
    }
    auto kernel = LinuxKernelPool::open();
    if (!kernel) {
        return tl::unexpected(kernel.error());
    }
    return std::make_unique<KernelDestination>(std::move(*kernel));
}

} // namespace ekey
