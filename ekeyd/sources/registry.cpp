#include "ekeyd/sources/registry.h"

#include <array>

#include "ekeyd/sources/device.h"
#include "ekeyd/sources/tty.h"

namespace ekey {

namespace {

using Made = Result<std::unique_ptr<Source>>;

Made make_entropy_key(const config::Address& address, const SourceContext& context) {
    if (auto known = config::check_parameters(address, {"serial", "min-entropy", "fips"}); !known) {
        return tl::unexpected(known.error());
    }
    if (address.rest.empty() || address.rest.front() != '/') {
        return fail(address.text +
                    ": expected the absolute path of a tty or a Unix socket after 'entropykey:'" +
                    (address.rest == "usb" ? " (this build does not drive USB itself; use /dev/ttyACM0 or "
                                             "/dev/entropykey/SERIAL)"
                                           : ""));
    }
    std::optional<entropykey::Serial> expected;
    if (const auto* text = address.find("serial")) {
        auto serial = entropykey::parse_serial(*text);
        if (!serial) {
            return fail(address.text + ": serial=" + *text + ": " + serial.error().what);
        }
        expected = *serial;
    }
    return std::make_unique<EntropyKey>(context.loop, address.rest,
                                        TtyLink::opener(context.loop, address.rest), context.keys, expected);
}

Made make_device(const config::Address& address, const SourceContext& context) {
    if (auto known = config::check_parameters(address, {"min-entropy", "fips"}); !known) {
        return tl::unexpected(known.error());
    }
    if (address.rest.empty() || address.rest.front() != '/') {
        return fail(address.text + ": expected the absolute path of a device or a FIFO after 'device:'");
    }
    return std::make_unique<Device>(context.loop, address.rest);
}

struct Driver {
    std::string_view kind;
    Made (*make)(const config::Address&, const SourceContext&);
};

constexpr std::array drivers{
    Driver{"entropykey", make_entropy_key},
    Driver{"device", make_device},
};

} // namespace

Result<std::unique_ptr<Source>> make_source(const config::Address& address, const SourceContext& context) {
    std::string kinds;
    for (const Driver& driver : drivers) {
        if (driver.kind == address.kind) {
            return driver.make(address, context);
        }
        kinds += (kinds.empty() ? "" : ", ") + std::string(driver.kind);
    }
    return fail(address.text + ": this build has no source of kind '" + address.kind + "' (it has: " + kinds +
                ")");
}

Result<SourceClaims> parse_claims(const config::Address& address, const Source& source) {
    SourceClaims claims{source.default_min_entropy(), true};
    if (const auto* text = address.find("min-entropy")) {
        auto bits = config::parse_decimal("min-entropy", *text, 0, 8);
        if (!bits) {
            return fail(address.text + ": " + bits.error().what);
        }
        claims.min_entropy = *bits;
    }
    if (const auto* text = address.find("fips")) {
        auto fips = config::parse_yes_no("fips", *text);
        if (!fips) {
            return fail(address.text + ": " + fips.error().what);
        }
        claims.fips = *fips;
    }
    return claims;
}

} // namespace ekey
