#include "ekeyd/sources/usb/libusb_context.h"

#include <libusb-1.0/libusb.h>
#include <poll.h>

namespace ekey::usb {

DeviceRef::DeviceRef(libusb_device* device) : device_(libusb_ref_device(device)) {}

DeviceRef::~DeviceRef() {
    libusb_unref_device(device_);
}

struct Context::Watch {
    Watch(Loop& loop, Context& context) : watcher(loop), owner(context) {
        watcher.bind<&Watch::on_ready>(this);
    }
    void on_ready(int) { owner.handle_events(); }
    IoWatcher watcher;
    Context& owner;
};

Context::Context(Loop& loop, std::function<void()> after_events)
    : loop_(loop), after_events_(std::move(after_events)), timeout_(loop) {
    timeout_.bind<&Context::handle_events>(this);
}

Result<std::shared_ptr<Context>> Context::make(Loop& loop, std::function<void()> after_events) {
    std::shared_ptr<Context> made(new Context(loop, std::move(after_events))); // private constructor
    if (const int error = libusb_init(&made->context_); error != 0) {
        made->context_ = nullptr;
        return fail(std::string("USB cannot be used: ") + libusb_strerror(error));
    }
    const libusb_pollfd** all = libusb_get_pollfds(made->context_);
    for (const libusb_pollfd** one = all; one != nullptr && *one != nullptr; ++one) {
        made->add((*one)->fd, (*one)->events);
    }
    libusb_free_pollfds(all);
    libusb_set_pollfd_notifiers(
        made->context_,
        [](int fd, short events, void* self) { static_cast<Context*>(self)->add(fd, events); },
        [](int fd, void* self) { static_cast<Context*>(self)->watches_.erase(fd); }, made.get());
    return made;
}

Context::~Context() {
    if (context_ != nullptr) {
        libusb_set_pollfd_notifiers(context_, nullptr, nullptr, nullptr);
        watches_.clear();
        libusb_exit(context_);
    }
}

void Context::add(int fd, short events) {
    auto watch = std::make_unique<Watch>(loop_, *this);
    watch->watcher.watch(fd, ((events & POLLIN) != 0 ? IoWatcher::readable : 0) |
                                 ((events & POLLOUT) != 0 ? IoWatcher::writable : 0));
    watches_[fd] = std::move(watch);
}

void Context::handle_events() {
    timeval now{};
    libusb_handle_events_timeout_completed(context_, &now, nullptr);
    rearm();
    after_events_(); // may destroy us
}

void Context::rearm() {
    timeval next{};
    if (libusb_get_next_timeout(context_, &next) == 1) {
        timeout_.start(std::chrono::seconds(next.tv_sec) + std::chrono::microseconds(next.tv_usec));
    } else {
        timeout_.stop();
    }
}

} // namespace ekey::usb
