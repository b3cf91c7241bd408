#include "egd-push/wakeups.h"

#include <array>
#include <cerrno>
#include <limits>

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

namespace ekey {

namespace {
// uevent_helper's buffer (UEVENT_BUFFER_SIZE, include/linux/kobject.h) is 2,048 bytes of variables and a
// head.
constexpr std::size_t longest_uevent = 8192;
constexpr unsigned kernel_group = 1; // events from the kernel, not those that udev sends on
} // namespace

Wakeups::Wakeups(Loop& loop, WakeupOwner& owner) : owner_(owner), clock_ready_(loop), uevents_ready_(loop) {
    clock_ready_.bind<&Wakeups::on_clock>(this);
    uevents_ready_.bind<&Wakeups::on_uevent>(this);
    clock_.reset(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    watch_clock();
    watch_uevents();
}

// A timer far in the future is cancelled whenever the clock is set, which resuming from sleep does too
// (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
void Wakeups::watch_clock() {
    itimerspec far{};
    far.it_value.tv_sec =
        std::numeric_limits<time_t>::max(); // the kernel takes it for its last time, in 2262
    if (clock_ &&
        timerfd_settime(clock_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, nullptr) == 0) {
        clock_ready_.watch(clock_.get(), IoWatcher::readable);
    }
}

void Wakeups::on_clock(int) {
    std::uint64_t ticks = 0;
    const ssize_t got = ::read(clock_.get(), &ticks, sizeof ticks);
    if (got < 0 && errno == ECANCELED) {
        owner_.on_wakeup("the clock was set or the machine slept");
        watch_clock();
    } else if (got >= 0) {
        clock_ready_.stop(); // where that is in 2038
    }
}

void Wakeups::watch_uevents() {
    uevents_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = kernel_group;
    if (uevents_ &&
        ::bind(uevents_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        uevents_ready_.watch(uevents_.get(), IoWatcher::readable);
    }
}

void Wakeups::on_uevent(int) {
    std::array<Byte, longest_uevent> buffer;
    sockaddr_nl sender{};
    socklen_t size = sizeof sender;
    const ssize_t got = ::recvfrom(uevents_.get(), buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&sender), &size);
    // Port 0 is the kernel; root's other programs could send here as well.
    if (got > 0 && sender.nl_pid == 0 && says_cloned(ByteView(buffer).first(static_cast<std::size_t>(got)))) {
        owner_.on_wakeup("this machine is a copy of another");
    }
}

bool Wakeups::says_cloned(ByteView uevent) {
    std::string_view text = as_text(uevent);
    while (!text.empty()) {
        const std::size_t end = text.find('\0');
        if (text.substr(0, end) == "NEW_VMGENID=1") {
            return true;
        }
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
    return false;
}

} // namespace ekey
