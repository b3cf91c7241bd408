// Finds the tty or socket of an Entropy Key.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "protocol/entropykey/keys.h"
#include "protocol/result.h"

namespace ekey::rekey {

// The folders to look in; handed in, so that a test can make its own.
struct Places {
    std::string links = "/dev/entropykey";        // udev's symbolic links, named by serial number
    std::string sockets = "/var/run/entropykeys"; // of ekey-ulusbd, which came with ekeyd 1.1.5
    std::string usb = "/sys/bus/usb/devices";
    std::string devices = "/dev";
};

struct Found {
    std::string path;                         // empty: it is on USB and has no tty, as while ekeyd drives it
    std::optional<entropykey::Serial> serial; // where it is known
};

// With a serial number: in `links` and `sockets`, where its '/' is written '.' or '_', then on USB. Without:
// the one Entropy Key on USB. The error says where it was looked for, and names the choices when there are
// several.
Result<Found> find_device(const Places& places, const std::optional<entropykey::Serial>& serial);

// Waits until the kernel has made a tty of a device on USB, as it does once a program has let go of it.
Result<Found> wait_for_tty(const Places& places, const entropykey::Serial& serial,
                           std::chrono::milliseconds patience);

} // namespace ekey::rekey
