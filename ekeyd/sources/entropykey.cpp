// Simtec Electronics' Entropy Key as one of the dongles on USB; what is said with it is EntropyKey's.
#include "ekeyd/sources/entropy_key.h"
#include "ekeyd/sources/registry.h"
#include "ekeyd/sources/usb_driver.h"

namespace ekey {

namespace {

// One packet a read: it sends whole packets and waits for our answer. No control request, ever.
usb::Plan plan(usb::Id) {
    return {};
}

Result<std::unique_ptr<Source>> make(DongleMade made) {
    const config::Address& address = made.address;
    if (auto known = config::check_parameters(address, {"serial", "min-entropy", "fips"}); !known) {
        return tl::unexpected(known.error());
    }
    std::optional<entropykey::Serial> expected;
    if (const auto* text = address.find("serial")) {
        auto serial = entropykey::parse_serial(*text);
        if (!serial) {
            return fail(address.text + ": serial=" + *text + ": " + serial.error().what);
        }
        expected = *serial;
    }
    return std::make_unique<EntropyKey>(made.context.loop, made.path, std::move(made.open), made.context.keys,
                                        expected);
}

} // namespace

const UsbDriver entropykey_driver{"entropykey", "Entropy Key", {{0x20df, 0x0001}}, true, true, plan, make};

} // namespace ekey
