#include "ekeyd/sources/usb_finder.h"

#include <algorithm>

#include "ekeyd/runtime/log.h"

namespace ekey {

UsbFinder::UsbFinder(Loop& loop, usb::Backend& backend, const UsbDriver& driver,
                     const config::Address& address, FinderOwner& owner)
    : Finder(address.text, owner), backend_(backend), driver_(driver),
      parameters_(address.text.substr(
          std::min(address.text.size(), driver.kind.size() + std::string_view(":usb").size()))),
      first_(loop) {
    backend_.watch(*this);
    first_.bind<&UsbFinder::tell_present>(this);
    first_.start(Duration::zero());
}

UsbFinder::~UsbFinder() {
    backend_.unwatch(*this);
}

void UsbFinder::tell_present() {
    for (const usb::Device& device : std::vector(backend_.devices())) {
        on_arrived(device);
    }
}

void UsbFinder::on_arrived(const usb::Device& device) {
    if (first_.active() ||
        std::find(driver_.ids.begin(), driver_.ids.end(), device.id) == driver_.ids.end()) {
        return;
    }
    const bool by_serial = driver_.own_serial && !device.serial.empty();
    log::notice("USB device found",
                {{"kind", driver_.called}, {"place", device.location}, {"serial", device.serial}});
    found(std::string(driver_.kind) + ":usb:" + (by_serial ? device.serial : device.location) + parameters_);
}

} // namespace ekey
