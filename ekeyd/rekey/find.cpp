#include "ekeyd/rekey/find.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

namespace ekey::rekey {

namespace fs = std::filesystem;

namespace {

// Simtec Electronics' UDEKEY01.
constexpr std::string_view usb_vendor = "20df", usb_product = "0001";

struct OnUsb {
    entropykey::Serial serial;
    std::string tty; // path below the folder of devices; empty: none
};

std::string first_line(const fs::path& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

// The tty that the kernel made for an interface of this device: INTERFACE/tty/ttyACM0 in sysfs.
std::string tty_of(const fs::path& folder, const std::string& device) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        if (!entry.path().filename().string().starts_with(device + ":")) {
            continue;
        }
        for (const auto& tty : fs::directory_iterator(entry.path() / "tty", error)) {
            return tty.path().filename().string();
        }
    }
    return {};
}

std::vector<OnUsb> list_usb(const Places& places) {
    std::vector<OnUsb> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(places.usb, error)) {
        const auto serial = entropykey::parse_serial(first_line(entry.path() / "serial"));
        if (serial && first_line(entry.path() / "idVendor") == usb_vendor &&
            first_line(entry.path() / "idProduct") == usb_product) {
            const std::string tty = tty_of(places.usb, entry.path().filename().string());
            found.push_back({*serial, tty.empty() ? tty : places.devices + '/' + tty});
        }
    }
    std::ranges::sort(found, {}, &OnUsb::serial);
    return found;
}

Result<Found> find_any(const Places& places) {
    const auto found = list_usb(places);
    if (found.empty()) {
        return fail("no Entropy Key is on USB: plug one in, or name its tty with --device");
    }
    if (found.size() > 1) {
        std::string serials;
        for (const OnUsb& device : found) {
            serials += ' ' + device.serial.base64();
        }
        return fail("there are several Entropy Keys: give one of these serial numbers:" + serials);
    }
    return Found{found.front().tty, found.front().serial};
}

} // namespace

Result<Found> find_device(const Places& places, const std::optional<entropykey::Serial>& serial) {
    if (!serial) {
        return find_any(places);
    }
    for (const auto& folder : {places.links, places.sockets}) {
        for (const char replacement : {'.', '_'}) {
            std::string name = serial->base64();
            std::ranges::replace(name, '/', replacement);
            std::error_code error;
            if (fs::exists(fs::path(folder) / name, error)) {
                return Found{folder + '/' + name, *serial};
            }
        }
    }
    const auto on_usb = list_usb(places);
    const auto device = std::ranges::find(on_usb, *serial, &OnUsb::serial);
    if (device == on_usb.end()) {
        return fail("the Entropy Key " + serial->base64() + " is not here (looked in " + places.links + ", " +
                    places.sockets + " and on USB): plug it in, or name its tty with --device");
    }
    return Found{device->tty, *serial};
}

Result<Found> wait_for_tty(const Places& places, const entropykey::Serial& serial,
                           std::chrono::milliseconds patience) {
    // sysfs tells of no changes, and udev, which does, may not be there.
    constexpr auto pause = std::chrono::milliseconds(20);
    const auto end = std::chrono::steady_clock::now() + patience;
    while (true) {
        for (const OnUsb& device : list_usb(places)) {
            std::error_code error;
            if (device.serial == serial && !device.tty.empty() && fs::exists(device.tty, error)) {
                return Found{device.tty, serial};
            }
        }
        if (std::chrono::steady_clock::now() >= end) {
            return fail("the Entropy Key " + serial.base64() +
                        " is on USB but has no tty: load the module cdc_acm, end the program that drives "
                        "it, or name a tty with --device");
        }
        std::this_thread::sleep_for(pause);
    }
}

} // namespace ekey::rekey
