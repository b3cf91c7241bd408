// OneRNG (Moonbase Otago), over USB or its tty.
#include "ekeyd/sources/raw_source.h"
#include "ekeyd/sources/registry.h"
#include "ekeyd/sources/usb_driver.h"

namespace ekey {

namespace {

// cmd0: avalanche noise, whitened by the device. The vendor's own script credits 15/16 of what it sends, and
// more is claimed of it nowhere that was measured by others: one bit less.
RawTraits traits() {
    RawTraits t{.min_entropy = 6.5};
    t.start = "cmd0\ncmdO\n"; // the noise to send, then: send (capital O)
    // The vendor throws away the first 10 KiB after a start.
    t.discarded = std::size_t{10} * 1024;
    return t;
}

usb::Plan plan(usb::Id) {
    usb::Plan plan;
    plan.opening = {usb::set_dtr(true)}; // it sends nothing without
    plan.packets_a_read = 8;             // a stream; 350 kbit/s
    return plan;
}

Result<std::unique_ptr<Source>> make(DongleMade made) {
    return make_raw_source(std::move(made), traits());
}

} // namespace

// Every one says that its serial number is "00".
const UsbDriver onerng_driver{"onerng", "OneRNG", {{0x1d50, 0x6086}}, false, true, plan, make};

} // namespace ekey
