// Sockets that a service manager opened for us, as sd_listen_fds(3) describes it. A socket is recognised by
// the address that it is bound to, so nobody has to keep names in two files in step.
#pragma once

#include <string>
#include <vector>

#include <sys/socket.h>

#include "ekeyd/runtime/handle.h"
#include "protocol/result.h"

namespace ekey {

// A descriptor that was there when the process began, and its name (FileDescriptorName= or FDNAME=; may be
// empty).
struct PassedDescriptor {
    Fd fd;
    std::string name;
};

// Takes over what LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES tell of; close-on-exec from now on. The variables
// are removed, also when they are for another process or make no sense; then nothing is taken. Call it once,
// before anything else is opened.
std::vector<PassedDescriptor> take_passed_descriptors();

// Keeps passed sockets, and lends them to whoever is to listen where they do. They are kept for as long as
// the process lives: a listener that goes and comes back finds its socket again.
class PassedSockets {
  public:
    PassedSockets() = default;
    PassedSockets(const PassedSockets&) = delete;
    PassedSockets& operator=(const PassedSockets&) = delete;

    // Keeps those that are stream sockets that listen; the others stay where they are.
    void keep_from(std::vector<PassedDescriptor>& descriptors);

    // A descriptor of its own for `to`, non-blocking, of the socket that is bound to `address`; none when
    // none was passed. An Error when it is lent already. Unix: a path that leads to the same file is the same
    // address. `to` is what says to listen there.
    Result<Fd> lend(const sockaddr* address, const std::string& to);
    void take_back(const std::string& from); // everything; its descriptors are its own to close
    void hand_on(const std::string& from, const std::string& to); // everything

    // Those that nobody listens on: "unix:/path", "tcp:127.0.0.1:8888", "vsock:any:888".
    std::vector<std::string> idle() const;
    // Logs those: who connects there waits until a line is added that listens.
    void tell_idle() const;

  private:
    struct Kept {
        Fd fd;
        std::string lent_to; // empty: idle
    };
    std::vector<Kept> kept_;
};

// What is passed down to who opens a socket: where to ask first, and for whom.
struct PassedTo {
    PassedSockets* sockets = nullptr; // null: nothing was passed
    std::string to;

    Result<Fd> take(const sockaddr* address) const {
        return sockets == nullptr ? Result<Fd>() : sockets->lend(address, to);
    }
};

} // namespace ekey
