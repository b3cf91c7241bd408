// A Unix stream socket that listens at a path of its own.
#pragma once

#include <string>

#include <sys/stat.h>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/passed_sockets.h"
#include "protocol/result.h"

namespace ekey {

class UnixListener {
  public:
    struct Options {
        std::string path;        // absolute, at most 107 bytes (sun_path, unix(7))
        unsigned mode = 0600;    // permission bits of the socket
        std::string user, group; // names or numbers to give it to (or share it with, access_list.h); empty:
                                 // as the process has
        int backlog = 511;       // the kernel cuts it to net.core.somaxconn
        PassedTo passed{};       // where to ask for the socket first

        bool same_access(const Options& other) const {
            return mode == other.mode && user == other.user && group == other.group;
        }
    };

    // Binds and listens, non-blocking and close-on-exec. A socket at the path on which nobody listens (left
    // by a process that was killed) is replaced; one on which somebody does, and a file that is no socket,
    // are left alone and refused. A missing last folder is made, mode 0755. Nobody can connect before owner
    // and mode are set. On an error nothing is left behind.
    //
    // A socket that was passed is used as it is, and its file stays when it is closed: it is the service
    // manager's. So are its owner and mode; `mode` is then the most that the file may grant, and `user` and
    // `group`, if named, must be its own. Otherwise it is refused: what the line keeps out stays out.
    static Result<UnixListener> open(const Options& options);

    // Closes, and removes the path when it still is this socket.
    ~UnixListener();
    UnixListener(UnixListener&& other) noexcept;
    UnixListener& operator=(UnixListener&& other) noexcept;
    UnixListener(const UnixListener&) = delete;
    UnixListener& operator=(const UnixListener&) = delete;

    // Mode, user and group of other options from now on. Errors: one sentence with the path, and why not;
    // then they are as they were. What open() says of a socket that was passed holds here, too.
    Result<void> change_access(const Options& options);

    int fd() const { return fd_.get(); }
    const std::string& path() const { return path_; }

  private:
    UnixListener(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    void remove();

    Fd fd_;
    std::string path_; // empty when moved from
    dev_t device_ = 0;
    ino_t inode_ = 0; // 0: nothing to remove
};

// Connects to a Unix stream socket; blocking (Unix sockets connect at once, or wait for room in the backlog).
// Close-on-exec. The error is the system's words alone ("No such file or directory").
Result<Fd> connect_unix(const std::string& path);

} // namespace ekey
