// Araneus Alea II, which speaks as a ChaosKey does; the same driver of the kernel's is detached and given
// back.
#include "ekeyd/sources/raw_source.h"
#include "ekeyd/sources/registry.h"
#include "ekeyd/sources/usb_driver.h"

namespace ekey {

namespace {

// Its kernel driver, ChaosKey's, credits all that it sends; one bit is kept back, as for a ChaosKey.
constexpr double claim = 7.0;

usb::Plan plan(usb::Id) {
    usb::Plan plan;
    plan.vendor_in = 0x85;
    plan.packets_a_read = 8;
    plan.reads = 2;
    return plan;
}

Result<std::unique_ptr<Source>> make(DongleMade made) {
    return make_raw_source(std::move(made), RawTraits{.min_entropy = claim});
}

} // namespace

const UsbDriver alea_driver{"alea", "Alea", {{0x12d8, 0x0001}}, true, false, plan, make};

} // namespace ekey
