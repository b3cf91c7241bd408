// TrueRNG v1, v2 and v3, TrueRNGpro and TrueRNGpro V2 (ubld.it), over USB or their ttys.
#include "ekeyd/sources/raw_source.h"
#include "ekeyd/sources/registry.h"
#include "ekeyd/sources/usb_driver.h"

namespace ekey {

namespace {

// Avalanche noise, whitened by the device. The vendor publishes test results of the output, no assessment of
// the noise, and the Pro stirs in a Mersenne Twister in its normal mode, whose output passes every test
// whatever the noise does: half of what it sends.
constexpr double claim = 4.0;

constexpr usb::Id v1_to_v3{0x04d8, 0xf5fe}, pro{0x16d0, 0x0aa0}, pro_v2{0x04d8, 0xebb5};

// The Pro's mode is chosen by a knock: the port opened and closed at 110, 300 and 110 baud, then opened at
// the mode's baud. 300 is the normal mode; a device that another program left in a debugging mode sends text.
void add_knock(usb::Plan& plan) {
    const auto open_and_close = [&plan](std::uint32_t baud, Duration pause) {
        plan.opening.push_back(usb::set_line_coding(baud));
        plan.opening.push_back(usb::set_dtr(true));
        plan.opening.back().pause = pause;
        plan.opening.push_back(usb::set_dtr(false));
    };
    open_and_close(110, std::chrono::milliseconds(500)); // the vendor's programs wait that long
    open_and_close(300, {});
    open_and_close(110, {});
    plan.opening.push_back(usb::set_line_coding(300));
}

usb::Plan plan(usb::Id which) {
    usb::Plan plan;
    if (which != v1_to_v3) {
        add_knock(plan);
    }
    plan.opening.push_back(usb::set_dtr(true)); // starts it
    plan.packets_a_read = 8;                    // a stream; 400 kbit/s
    return plan;
}

Result<std::unique_ptr<Source>> make(DongleMade made) {
    return make_raw_source(std::move(made), {.min_entropy = claim});
}

} // namespace

// They have no serial number of their own.
const UsbDriver truerng_driver{"truerng", "TrueRNG", {v1_to_v3, pro, pro_v2}, false, true, plan, make};

} // namespace ekey
