// A libusb context inside our loop: its descriptors are watched, its time-outs are a timer, and its events
// are handled from the loop alone.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "ekeyd/runtime/loop.h"
#include "protocol/result.h"

struct libusb_context; // NOLINT(readability-identifier-naming): libusb's
struct libusb_device;  // NOLINT(readability-identifier-naming): libusb's

namespace ekey::usb {

// A counted reference to a libusb device.
class DeviceRef {
  public:
    explicit DeviceRef(libusb_device* device); // takes a reference
    ~DeviceRef();
    DeviceRef(const DeviceRef& other) : DeviceRef(other.device_) {}
    DeviceRef& operator=(const DeviceRef&) = delete;
    libusb_device* get() const { return device_; }

  private:
    libusb_device* device_;
};

class Context {
  public:
    // `after_events` is called each time libusb has handled events, outside of its callbacks.
    static Result<std::shared_ptr<Context>> make(Loop& loop, std::function<void()> after_events);
    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    libusb_context* raw() const { return context_; }
    void handle_events(); // what is there now; does not wait
    void rearm();         // after a transfer with a time-out was begun

  private:
    struct Watch;
    Context(Loop& loop, std::function<void()> after_events);
    void add(int fd, short events);

    Loop& loop_;
    std::function<void()> after_events_;
    libusb_context* context_ = nullptr;
    std::map<int, std::unique_ptr<Watch>> watches_;
    Timer timeout_;
};

} // namespace ekey::usb
