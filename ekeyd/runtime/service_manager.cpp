#include "ekeyd/runtime/service_manager.h"

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include <unistd.h>

#include "ekeyd/runtime/handle.h"

namespace ekey {

long long number_in_environment(const char* name, long long most) {
    const char* const text = std::getenv(name);
    if (text == nullptr) {
        return 0;
    }
    const char* const end = text + std::strlen(text);
    long long value = 0;
    const auto read = std::from_chars(text, end, value);
    const bool good = read.ec == std::errc() && read.ptr == end && value >= 0 && value <= most;
    return good ? value : 0;
}

std::optional<NotifyAddress> notify_address() {
    const char* name = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    const std::size_t length = name != nullptr ? std::strlen(name) : 0;
    // A path, or '@' for the abstract namespace, where the first byte is zero and the length counts.
    if (length < 2 || length >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@')) {
        return std::nullopt;
    }
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name, length);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    return NotifyAddress{address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length)};
}

void tell_service_manager(std::string_view state) {
    const auto to = notify_address();
    if (!to) {
        return;
    }
    const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd) {
        [[maybe_unused]] const ssize_t sent =
            ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                     reinterpret_cast<const sockaddr*>(&to->address), to->size);
    }
}

void tell_reloading() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
    tell_service_manager("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds.count()));
}

Watchdog::Watchdog(Loop& loop) : timer_(loop) {
    timer_.bind<&Watchdog::on_time>(this);
    const long long period = number_in_environment("WATCHDOG_USEC"),
                    process = number_in_environment("WATCHDOG_PID");
    if (period > 1 && (process == 0 || process == ::getpid())) {
        timer_.every(std::chrono::duration_cast<Duration>(std::chrono::microseconds(period / 2)));
    }
}

} // namespace ekey
