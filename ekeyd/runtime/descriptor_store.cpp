#include "ekeyd/runtime/descriptor_store.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>

#include "ekeyd/runtime/service_manager.h"

namespace ekey {

namespace {

constexpr std::size_t most_a_message = 253; // SCM_MAX_FD, unix(7)

// The manager has not read yet (its queue is full, or descriptors of ours that nobody has received are as
// many as we may have open), or memory is short.
bool passes(int error) {
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == ETOOMANYREFS || error == EINTR;
}

} // namespace

std::size_t DescriptorStore::room() {
    return std::getenv("NOTIFY_SOCKET") == nullptr
               ? 0
               : static_cast<std::size_t>(number_in_environment("FDSTORE"));
}

DescriptorStore::DescriptorStore(Duration patience) : until_(std::chrono::steady_clock::now() + patience) {
    const auto address = notify_address();
    Fd made(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // Connected, because poll() then waits for room in the manager's queue.
    if (address && made &&
        ::connect(made.get(), reinterpret_cast<const sockaddr*>(&address->address), address->size) == 0) {
        socket_ = std::move(made);
    }
}

std::size_t DescriptorStore::put(std::string_view name, std::span<const int> descriptors) {
    const std::string message = "FDSTORE=1\nFDNAME=" + std::string(name);
    std::size_t gone = 0;
    while (gone < descriptors.size()) {
        const auto some = descriptors.subspan(gone, std::min(most_a_message, descriptors.size() - gone));
        if (!send(message, some)) {
            break;
        }
        gone += some.size();
    }
    return gone;
}

bool DescriptorStore::remove(std::string_view name) {
    return send("FDSTOREREMOVE=1\nFDNAME=" + std::string(name), {});
}

bool DescriptorStore::send(const std::string& message, std::span<const int> descriptors) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(most_a_message * sizeof(int))> control{};
    std::string text = message;
    iovec part{text.data(), text.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (!descriptors.empty()) {
        header.msg_control = control.data();
        header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* const rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
    }
    while (socket_) {
        if (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) >= 0) {
            return true;
        }
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(until_ - std::chrono::steady_clock::now());
        if (!passes(errno) || left.count() <= 0) {
            break;
        }
        // Only a full queue wakes poll(); the other reasons are tried again soon.
        constexpr int soon = 10; // ms
        pollfd room{socket_.get(), static_cast<short>(errno == EAGAIN ? POLLOUT : 0), 0};
        ::poll(&room, 1, errno == EAGAIN ? static_cast<int>(left.count()) : soon);
    }
    return false;
}

} // namespace ekey
