// What tells one dongle on USB from another: ids, endpoints, names.
#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/bytes.h"

namespace ekey::softkey {

struct UsbPersonality {
    std::uint16_t vendor, product, release;
    Byte bulk_in, notify_in, bulk_out; // endpoint numbers, without the direction bit
    std::string_view manufacturer, called;
    bool crashes_at_line_state; // SET_CONTROL_LINE_STATE hangs its firmware until it is unplugged
};

// Ids and bulk endpoints are those of the UDEKEY01.
inline constexpr UsbPersonality entropy_key_usb{0x20df,        0x0001, 0x0100, 1, 2, 3, "Simtec Electronics",
                                                "Entropy Key", true};
// Ids and bulk endpoints are those of the OneRNG's firmware.
inline constexpr UsbPersonality onerng_usb{0x1d50, 0x6086,           0x0100,   5,    4,
                                           5,      "Moonbase Otago", "OneRNG", false};
// The ids of versions 1 to 3; the endpoints are made up.
inline constexpr UsbPersonality truerng_usb{0x04d8, 0xf5fe, 0x0100, 2, 1, 2, "ubld.it", "TrueRNG", false};

} // namespace ekey::softkey
