// How a kind of device is spoken to over USB: which endpoints, how it is started, how much is read at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "ekeyd/sources/usb/backend.h"

namespace ekey::usb {

struct Plan {
    // The bulk IN endpoint of a vendor interface, or 0: the pair of bulk endpoints of a CDC-ACM function,
    // found by its data interface, whose interfaces are both claimed.
    std::uint8_t vendor_in = 0;

    // Control requests before the first read, in their order; `index` is filled in with the number of the
    // CDC control interface.
    std::vector<ControlRequest> opening;

    // A read ends when this many packets are full or one is short. A device that sends whole packets and
    // waits for an answer, as an Entropy Key does, needs 1.
    std::size_t packets_a_read = 1;
    // Reads in flight. Two keep the bus busy while we work; four leave time for a slow turn of the loop.
    std::size_t reads = 4;

    // What a device sent before it was opened belongs to no session of ours: it is thrown away until nothing
    // came for `drain_quiet`, or `drain_limit` is over (a device that streams is never quiet).
    Duration drain_quiet = std::chrono::milliseconds(100);
    Duration drain_limit = std::chrono::milliseconds(500);
};

// CDC-PSTN 1.2, 6.3.12: DTR is bit 0. NEVER for an Entropy Key: its firmware hangs until it is unplugged.
ControlRequest set_dtr(bool on);
// CDC-PSTN 1.2, 6.3.10; 8N1.
ControlRequest set_line_coding(std::uint32_t baud);

} // namespace ekey::usb
