#include "ekeyd/sources/usb/usb_link.h"

#include <algorithm>

#include "ekeyd/sources/usb/channel.h"

namespace ekey::usb {

bool Choice::fits(const Device& device) const {
    return std::find(ids.begin(), ids.end(), device.id) != ids.end() &&
           (name.empty() || name == device.serial || name == device.location);
}

UsbLink::UsbLink(Backend& backend, std::unique_ptr<Channel> channel)
    : backend_(backend), channel_(std::move(channel)) {}

UsbLink::~UsbLink() {
    channel_->shut();
    backend_.bury(std::move(channel_));
}

std::size_t UsbLink::write(ByteView bytes) {
    return channel_->write(bytes);
}

void UsbLink::pause(bool on) {
    channel_->pause(on);
}

std::string UsbLink::condition() const {
    return channel_->condition();
}

Result<std::unique_ptr<Link>> UsbLink::open(Loop& loop, Backend& backend, const Choice& choice,
                                            Plan (*plan)(Id), LinkOwner& owner) {
    const auto& devices = backend.devices();
    const auto device =
        std::find_if(devices.begin(), devices.end(), [&](const Device& d) { return choice.fits(d); });
    if (device == devices.end()) {
        return fail("no " + choice.called + (choice.name.empty() ? "" : " " + choice.name) +
                    " is plugged in");
    }
    backend.reap(); // an earlier link of ours may still hold the device
    auto opened = backend.open(*device);
    if (!opened) {
        return tl::unexpected(opened.error());
    }
    auto channel = std::make_unique<Channel>(loop, std::move(*opened), plan(device->id), owner);
    Channel& begun = *channel;
    std::unique_ptr<Link> link(new UsbLink(backend, std::move(channel))); // private constructor
    if (auto open = begun.open(); !open) {
        return tl::unexpected(open.error());
    }
    return link;
}

} // namespace ekey::usb
