// ChaosKey (Altus Metrum). The kernel's driver "chaoskey" serves it as /dev/hwrng; it is detached, and given
// back afterwards.
#include "ekeyd/sources/chaoskey.h"

#include "ekeyd/sources/raw_source.h"

namespace ekey {

namespace {

// Transistor junction noise. Endpoint 5 gives it "cooked", stirred by a CRC of the device's; the kernel's
// driver credits all of it. A CRC makes no entropy, and one bit is kept back.
constexpr double claim = 7.0;

} // namespace

usb::Plan chaoskey_plan(usb::Id) {
    usb::Plan plan;
    plan.vendor_in = 0x85;
    plan.packets_a_read = 8;
    plan.reads = 2;
    return plan;
}

Result<std::unique_ptr<Source>> make_chaoskey(DongleMade made) {
    return make_raw_source(std::move(made), RawTraits{.min_entropy = claim});
}

const UsbDriver chaoskey_driver{"chaoskey", "ChaosKey",    {{0x1d50, 0x60c6}}, true,
                                false,      chaoskey_plan, make_chaoskey};

} // namespace ekey
