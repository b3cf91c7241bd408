// The kinds of dongle on USB. One more is one file, NAME.cpp, and one line in ekeyd/config/usb_dongles.inc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ekeyd/config/address.h"
#include "ekeyd/sources/link.h"
#include "ekeyd/sources/source.h"
#include "ekeyd/sources/usb/plan.h"

namespace ekey {

struct SourceContext;

// What a driver makes its source of.
struct DongleMade {
    const SourceContext& context;
    const config::Address& address;
    std::string path;   // for lists and logs
    std::string serial; // as USB says, or empty
    LinkOpener open;
};

struct UsbDriver {
    std::string_view kind;   // in addresses: KIND:usb, KIND:usb:NAME
    std::string_view called; // in messages
    std::vector<usb::Id> ids;
    bool own_serial; // its serial number differs from that of others of its kind
    bool tty;        // reached through a tty of the kernel's as well: KIND:/dev/ttyACM0
    usb::Plan (*plan)(usb::Id which);
    Result<std::unique_ptr<Source>> (*make)(DongleMade made);
};

#define USB_DONGLE(name, rest) extern const UsbDriver name##_driver;
#include "ekeyd/config/usb_dongles.inc"
#undef USB_DONGLE

// For a make() with nothing to add: a RawSource. Takes the parameters that every source takes, and no other.
struct RawTraits;
Result<std::unique_ptr<Source>> make_raw_source(DongleMade made, RawTraits traits);

} // namespace ekey
