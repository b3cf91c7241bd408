#include "egd-push/ready.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>

#include "ekeyd/runtime/handle.h"

namespace ekey {

void tell_service_manager(std::string_view state) {
    const char* name = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    const std::size_t length = name != nullptr ? std::strlen(name) : 0;
    // A path, or '@' for the abstract namespace, where the first byte is zero and the length counts.
    if (length < 2 || length >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@')) {
        return;
    }
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name, length);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd) {
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
        [[maybe_unused]] const ssize_t sent = ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                                                       reinterpret_cast<const sockaddr*>(&address), size);
    }
}

} // namespace ekey
