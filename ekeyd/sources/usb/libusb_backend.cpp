#include "ekeyd/sources/usb/libusb_backend.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <set>

#include <libusb-1.0/libusb.h>
#include <unistd.h>

#include "ekeyd/runtime/log.h"
#include "ekeyd/sources/usb/channel.h"
#include "ekeyd/sources/usb/libusb_device.h"

namespace ekey::usb {

namespace {

constexpr Duration look_every = std::chrono::seconds(2); // two to five milliseconds of work
constexpr Duration patience_at_end = std::chrono::seconds(1);

// Bus and address name a plugging-in: the kernel counts addresses up.
unsigned key_of(libusb_device* device) {
    return libusb_get_bus_number(device) << 8 | libusb_get_device_address(device);
}

std::string location_of(libusb_device* device) {
    std::array<std::uint8_t, 7> ports{}; // USB allows 7 tiers (USB 3.2, 4.1)
    const int depth = libusb_get_port_numbers(device, ports.data(), ports.size());
    std::string location = std::to_string(libusb_get_bus_number(device)) + "-";
    for (int i = 0; i < depth; ++i) {
        location += (i > 0 ? "." : "") + std::to_string(ports.at(static_cast<std::size_t>(i)));
    }
    return location;
}

// The kernel has read it when the device came. Asking the device would mean to open it, and to wait for it;
// where there is no such file, the location names the device.
std::string serial_of(const std::string& location) {
    std::ifstream file("/sys/bus/usb/devices/" + location + "/serial");
    std::string line;
    std::getline(file, line);
    // It becomes part of an address and of a line in the log: anything odd is none. 126 characters are what a
    // string descriptor holds (USB 2.0, 9.6.7).
    const auto odd = [](unsigned char c) {
        return std::isalnum(c) == 0 &&
               std::string_view("+/=._-").find(static_cast<char>(c)) == std::string_view::npos;
    };
    return line.size() <= 126 && std::none_of(line.begin(), line.end(), odd) ? line : "";
}

bool udev_runs() {
    return ::access("/run/udev/control", F_OK) == 0; // where libudev looks, too
}

int LIBUSB_CALL on_change(libusb_context*, libusb_device* device, libusb_hotplug_event event, void* tell) {
    (*static_cast<std::function<void(bool, libusb_device*)>*>(tell))(
        event == LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED, device);
    return 0; // go on
}

} // namespace

LibUsb::LibUsb(Loop& loop) : Backend(loop), tell_(loop), look_(loop) {
    tell_.bind<&LibUsb::tell_changes>(this);
    look_.bind<&LibUsb::look>(this);
}

Result<std::unique_ptr<Backend>> LibUsb::make(Loop& loop) {
    std::unique_ptr<LibUsb> made(new LibUsb(loop)); // private constructor
    if (auto started = made->start(); !started) {
        return tl::unexpected(started.error());
    }
    return made;
}

Result<void> LibUsb::start() {
    auto context = Context::make(loop(), [this] { reap_soon(); });
    if (!context) {
        return tl::unexpected(context.error());
    }
    context_ = *context;
    const bool told = udev_runs() && libusb_has_capability(LIBUSB_CAP_HAS_HOTPLUG) != 0 && register_hotplug();
    if (!told) {
        log::info("nobody tells of USB devices that come and go, so they are looked for",
                  {{"seconds", std::chrono::duration_cast<std::chrono::seconds>(look_every).count()}});
        look();
        look_.every(look_every);
    }
    return {};
}

LibUsb::~LibUsb() {
    // Cancelled transfers end at once, unless a device or its driver hangs; then the kernel takes them back
    // when the process is gone.
    const Time end = Loop::now() + patience_at_end;
    reap();
    while (buried() > 0 && Loop::now() < end) {
        std::set<std::shared_ptr<Context>> contexts{context_};
        for (const auto& [key, known] : known_) {
            contexts.insert(known.context);
        }
        for (const auto& context : contexts) {
            timeval wait{0, 10000};
            libusb_handle_events_timeout_completed(context->raw(), &wait, nullptr);
        }
        reap();
    }
    abandon_buried();
}

bool LibUsb::register_hotplug() {
    tell_hotplug_ = [this](bool arrival, libusb_device* device) {
        changes_.push_back({arrival, DeviceRef(device)});
        tell_.start(Duration::zero()); // libusb allows little inside its callback
    };
    return libusb_hotplug_register_callback(
               context_->raw(), LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED | LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT,
               LIBUSB_HOTPLUG_ENUMERATE, LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY,
               LIBUSB_HOTPLUG_MATCH_ANY, on_change, &tell_hotplug_, nullptr) == LIBUSB_SUCCESS;
}

void LibUsb::tell_changes() {
    while (!changes_.empty()) {
        const Change change = changes_.front();
        changes_.pop_front();
        if (change.came) {
            came(context_, change.device);
        } else {
            went(key_of(change.device.get()));
        }
    }
}

void LibUsb::came(std::shared_ptr<Context> context, const DeviceRef& device) {
    libusb_device_descriptor descriptor{};
    if (libusb_get_device_descriptor(device.get(), &descriptor) != 0 ||
        descriptor.bDeviceClass == LIBUSB_CLASS_HUB) {
        return;
    }
    const unsigned key = key_of(device.get());
    if (known_.contains(key)) {
        return; // libusb may tell twice
    }
    const std::uint64_t instance = next_instance_++;
    known_.emplace(key, Known{instance, std::move(context), device});
    const std::string location = location_of(device.get());
    arrived({instance, {descriptor.idVendor, descriptor.idProduct}, location, serial_of(location)});
}

void LibUsb::went(unsigned key) {
    if (const auto found = known_.find(key); found != known_.end()) {
        left(found->second.instance);
        known_.erase(found);
    }
}

// libusb lists anew only in a new context.
void LibUsb::look() {
    auto fresh = Context::make(loop(), [this] { reap_soon(); });
    if (!fresh) {
        log::warning("USB devices cannot be listed", {{"reason", fresh.error().what}});
        return;
    }
    libusb_device** list = nullptr;
    const ssize_t count = libusb_get_device_list((*fresh)->raw(), &list);
    std::vector<DeviceRef> present;
    for (ssize_t i = 0; i < count; ++i) {
        present.emplace_back(list[i]);
    }
    if (list != nullptr) {
        libusb_free_device_list(list, 1);
    }
    std::set<unsigned> keys;
    for (const DeviceRef& device : present) {
        keys.insert(key_of(device.get()));
    }
    std::vector<unsigned> gone;
    for (const auto& [key, known] : known_) {
        if (!keys.contains(key)) {
            gone.push_back(key);
        }
    }
    for (const unsigned key : gone) {
        went(key);
    }
    for (const DeviceRef& device : present) {
        came(*fresh, device);
    }
}

Result<std::unique_ptr<OpenDevice>> LibUsb::open(const Device& device) {
    const auto found = std::find_if(known_.begin(), known_.end(), [&](const auto& entry) {
        return entry.second.instance == device.instance;
    });
    if (found == known_.end()) {
        return fail("the USB device at " + device.location + " is gone");
    }
    return LibUsbDevice::open(loop(), found->second.context, found->second.device, device);
}

} // namespace ekey::usb
