#include "ekeyd/runtime/passed_sockets.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string_view>

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/service_manager.h"
#include "ekeyd/runtime/tcp_socket.h"
#include "ekeyd/runtime/vsock_socket.h"

namespace ekey {

namespace {

constexpr int first_passed = 3; // SD_LISTEN_FDS_START, sd_listen_fds(3)

// The next of several names with colons between them.
std::string next_name(std::string_view& names) {
    const std::size_t colon = names.find(':');
    const std::string name(names.substr(0, colon));
    names.remove_prefix(colon == std::string_view::npos ? names.size() : colon + 1);
    return name;
}

struct Bound {
    sockaddr_storage address{};
    socklen_t size = sizeof(sockaddr_storage);
    bool known = false;

    explicit Bound(int fd) { known = getsockname(fd, generic(), &size) == 0; }
    sockaddr* generic() { return reinterpret_cast<sockaddr*>(&address); }
};

template <class Address>
Address as(const sockaddr* address) {
    Address copy{};
    std::memcpy(&copy, address, sizeof copy);
    return copy;
}

// "/path", or "@name" in the abstract namespace, where the first byte is zero.
std::string path_of(const sockaddr_storage& address, socklen_t size) {
    const auto named = reinterpret_cast<const sockaddr_un&>(address);
    const std::size_t start = offsetof(sockaddr_un, sun_path);
    std::string path(named.sun_path, size > start ? size - start : 0);
    if (!path.empty() && path[0] == '\0') {
        path[0] = '@';
        return path;
    }
    return path.substr(0, path.find('\0'));
}

bool same_file(const std::string& one, const std::string& other) {
    struct stat a {
    }, b{};
    return one == other || (stat(one.c_str(), &a) == 0 && stat(other.c_str(), &b) == 0 &&
                            a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

bool same_address(Bound& bound, const sockaddr* address) {
    if (!bound.known || bound.address.ss_family != address->sa_family) {
        return false;
    }
    switch (address->sa_family) {
    case AF_INET: {
        const auto a = as<sockaddr_in>(bound.generic()), b = as<sockaddr_in>(address);
        return a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr;
    }
    case AF_INET6: {
        const auto a = as<sockaddr_in6>(bound.generic()), b = as<sockaddr_in6>(address);
        return a.sin6_port == b.sin6_port && a.sin6_scope_id == b.sin6_scope_id &&
               std::memcmp(&a.sin6_addr, &b.sin6_addr, sizeof a.sin6_addr) == 0;
    }
    case AF_VSOCK: {
        const auto a = as<sockaddr_vm>(bound.generic()), b = as<sockaddr_vm>(address);
        return a.svm_port == b.svm_port && a.svm_cid == b.svm_cid;
    }
    case AF_UNIX:
        return same_file(path_of(bound.address, bound.size),
                         std::string(reinterpret_cast<const sockaddr_un*>(address)->sun_path));
    default: return false;
    }
}

std::string shown(int fd) {
    const Bound bound(fd);
    if (bound.known && bound.address.ss_family == AF_UNIX) {
        return "unix:" + path_of(bound.address, bound.size);
    }
    const std::string vsock = bound_cid_port(fd);
    return vsock.empty() ? "tcp:" + bound_host_port(fd) : "vsock:" + vsock;
}

int option(int fd, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

bool listens(int fd) {
    return option(fd, SO_ACCEPTCONN) == 1 && option(fd, SO_TYPE) == SOCK_STREAM;
}

} // namespace

std::vector<PassedDescriptor> take_passed_descriptors() {
    const auto process = number_in_environment("LISTEN_PID");
    const auto count = number_in_environment("LISTEN_FDS", std::numeric_limits<int>::max() - first_passed);
    const char* const given = std::getenv("LISTEN_FDNAMES");
    const std::string all_names = given == nullptr ? "" : given;
    for (const char* name : {"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
        unsetenv(name);
    }
    std::vector<PassedDescriptor> passed;
    if (process != getpid()) {
        return passed;
    }
    std::string_view names = all_names;
    for (int fd = first_passed; fd - first_passed < count; ++fd) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
            break; // there are not as many
        }
        passed.push_back({Fd(fd), next_name(names)});
    }
    return passed;
}

void PassedSockets::keep_from(std::vector<PassedDescriptor>& descriptors) {
    std::vector<PassedDescriptor> others;
    for (PassedDescriptor& passed : descriptors) {
        if (listens(passed.fd.get())) {
            kept_.push_back({std::move(passed.fd), {}});
        } else {
            others.push_back(std::move(passed));
        }
    }
    descriptors = std::move(others);
}

Result<Fd> PassedSockets::lend(const sockaddr* address, const std::string& to) {
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
        Bound bound(kept.fd.get());
        return same_address(bound, address);
    });
    if (found == kept_.end()) {
        return Fd();
    }
    if (!found->lent_to.empty()) {
        return fail(found->lent_to + " listens there");
    }
    Fd own(fcntl(found->fd.get(), F_DUPFD_CLOEXEC, 0));
    const int flags = own ? fcntl(own.get(), F_GETFL) : -1;
    if (flags < 0 || fcntl(own.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return fail(std::string("the socket that the service manager opened cannot be used: ") +
                    std::strerror(errno));
    }
    found->lent_to = to;
    return own;
}

void PassedSockets::take_back(const std::string& from) {
    hand_on(from, {});
}

void PassedSockets::hand_on(const std::string& from, const std::string& to) {
    for (Kept& kept : kept_) {
        if (kept.lent_to == from) {
            kept.lent_to = to;
        }
    }
}

std::vector<std::string> PassedSockets::idle() const {
    std::vector<std::string> addresses;
    for (const Kept& kept : kept_) {
        if (kept.lent_to.empty()) {
            addresses.push_back(shown(kept.fd.get()));
        }
    }
    return addresses;
}

void PassedSockets::tell_idle() const {
    for (const std::string& address : idle()) {
        log::warning("the service manager passed a socket that no listen and no control line names",
                     {{"address", address}});
    }
}

} // namespace ekey
