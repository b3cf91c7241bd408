// USB over libusb-1.0.
//
// Arrival and departure come from libusb where it can tell. On Linux it reads udev's events, on a thread of
// its own that libusb starts and hides; what it finds is told through the context's descriptors, so nothing
// of ours runs on that thread. Without udev (a container, a small guest) and on platforms where libusb cannot
// tell, we look every few seconds.
#pragma once

#include <deque>
#include <map>
#include <memory>

#include "ekeyd/sources/usb/backend.h"
#include "ekeyd/sources/usb/libusb_context.h"

namespace ekey::usb {

class LibUsb final : public Backend {
  public:
    static Result<std::unique_ptr<Backend>> make(Loop& loop);
    ~LibUsb() override;

    Result<std::unique_ptr<OpenDevice>> open(const Device& device) override;

  private:
    struct Known {
        std::uint64_t instance;
        std::shared_ptr<Context> context; // a device belongs to the context that found it
        DeviceRef device;
    };
    struct Change {
        bool came;
        DeviceRef device;
    };

    explicit LibUsb(Loop& loop);
    Result<void> start();
    bool register_hotplug();
    void tell_changes();
    void look();
    void came(std::shared_ptr<Context> context, const DeviceRef& device);
    void went(unsigned key);

    std::function<void(bool came, libusb_device* device)> tell_hotplug_;
    std::shared_ptr<Context> context_;
    std::deque<Change> changes_; // told by libusb, not yet by us
    std::map<unsigned, Known> known_;
    std::uint64_t next_instance_ = 1;
    Timer tell_, look_;
};

} // namespace ekey::usb
