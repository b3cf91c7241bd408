#include "ekeyd/sources/usb/backend.h"

#include <algorithm>

#include "ekeyd/sources/usb/channel.h"

namespace ekey::usb {

Backend::Backend(Loop& loop) : loop_(loop), reaper_(loop) {
    reaper_.bind<&Backend::reap>(this);
}

Backend::~Backend() = default;

void Backend::watch(DeviceWatcher& watcher) {
    watchers_.push_back(&watcher);
}

void Backend::unwatch(DeviceWatcher& watcher) {
    std::erase(watchers_, &watcher);
}

void Backend::arrived(const Device& device) {
    devices_.push_back(device);
    const auto told = watchers_; // one of them may go, or another come, meanwhile
    for (DeviceWatcher* watcher : told) {
        if (std::find(watchers_.begin(), watchers_.end(), watcher) != watchers_.end()) {
            watcher->on_arrived(device);
        }
    }
}

void Backend::left(std::uint64_t instance) {
    std::erase_if(devices_, [instance](const Device& d) { return d.instance == instance; });
}

void Backend::bury(std::unique_ptr<Channel> channel) {
    // Even a quiet one stays until later: we may be inside one of its callbacks.
    buried_.push_back(std::move(channel));
    reap_soon();
}

void Backend::reap() {
    std::erase_if(buried_, [](const auto& channel) { return channel->quiet(); });
}

void Backend::abandon_buried() {
    for (auto& channel : buried_) {
        if (!channel->quiet()) {
            static_cast<void>(channel.release());
        }
    }
    buried_.clear();
}

} // namespace ekey::usb
