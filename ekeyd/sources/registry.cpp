#include "ekeyd/sources/registry.h"

#include <algorithm>
#include <array>

#include "ekeyd/config/kinds.h"
#include "ekeyd/sources/device.h"
#include "ekeyd/sources/port.h"
#include "ekeyd/sources/processor_noise.h"
#include "ekeyd/sources/raw_source.h"
#include "ekeyd/sources/tty.h"
#include "ekeyd/sources/upstream_source.h"
#include "ekeyd/sources/usb/usb_link.h"
#include "ekeyd/sources/usb_driver.h"

namespace ekey {

namespace {

using Made = Result<std::unique_ptr<Source>>;

Made make_device(const config::Address& address, const SourceContext& context) {
    if (auto known = config::check_parameters(address, {"min-entropy", "fips"}); !known) {
        return tl::unexpected(known.error());
    }
    if (address.rest.empty() || address.rest.front() != '/') {
        return fail(address.text + ": expected the absolute path of a device or a FIFO after 'device:'");
    }
    return std::make_unique<Device>(context.loop, address.rest);
}

// Nothing is known of what hangs on a serial port; those sold as generators whiten. Half of a perfect one.
constexpr double tty_claim = 4.0;

Made make_tty(const config::Address& address, const SourceContext& context) {
    if (auto known = config::check_parameters(address, {"baud", "min-entropy", "fips"}); !known) {
        return tl::unexpected(known.error());
    }
    if (address.rest.empty() || address.rest.front() != '/') {
        return fail(address.text + ": expected the absolute path of a tty after 'tty:'");
    }
    unsigned baud = 115200;
    if (const auto* text = address.find("baud")) {
        auto number = config::parse_number("baud", *text, 110, 921600);
        if (!number) {
            return fail(address.text + ": " + number.error().what);
        }
        baud = static_cast<unsigned>(*number);
        if (!baud_known(baud)) {
            return fail(address.text + ": baud=" + *text +
                        ": a tty has no such rate (115200, 9600 and the like)");
        }
    }
    return std::make_unique<RawSource>(context.loop, "tty:" + address.rest, "",
                                       TtyLink::opener(context.loop, address.rest, baud),
                                       RawTraits{.min_entropy = tty_claim});
}

// A Unix socket's server is on this host, and nothing is known of it: half of a perfect one. What comes over
// TCP in clear is known to whoever watches, and is mixed in alone.
constexpr double local_claim = 4.0, clear_claim = 0.0;

Made make_egd(const config::Address& address, const SourceContext& context) {
    if (auto known = config::check_parameters(address, {"min-entropy", "fips"}); !known) {
        return tl::unexpected(known.error());
    }
    UpstreamSource::Options options;
    options.path = "egd:" + address.rest;
    options.claimed = address.find("min-entropy") != nullptr;
    const std::size_t colon = std::min(address.rest.find(':'), address.rest.size());
    options.where.kind = address.rest.substr(0, colon);
    options.where.rest = address.rest.substr(std::min(colon + 1, address.rest.size()));
    options.where.text = address.rest;
    const bool local = options.where.kind == "unix";
    options.min_entropy = local ? local_claim : clear_claim;
    if (!local && options.where.kind != "tcp") {
        return fail(address.text + ": expected unix:/PATH or tcp:HOST:PORT after 'egd:'");
    }
    Result<void> checked;
    if (local) {
        checked = config::check_path(options.where.rest, true);
    } else if (const auto where = config::parse_host_port(options.where.rest); !where) {
        checked = tl::unexpected(where.error());
    } else if (where->port == 0) {
        checked = fail("port 0: expected the server's");
    }
    if (!checked) {
        return fail(address.text + ": " + checked.error().what);
    }
    return std::make_unique<UpstreamSource>(context.loop, std::move(options));
}

// What an ekeyd serves is full entropy by its own accounting, with a margin of 64 bits in 576, and only it
// and we have seen it. A server that gives less says so to its peer (credit=, output=drbg).
constexpr double sealed_claim = 8.0;

Made make_sealed(const config::Address& address, const SourceContext& context) {
    if (auto known = config::check_parameters(address, {"key", "min-entropy", "fips"}); !known) {
        return tl::unexpected(known.error());
    }
    const auto where = config::parse_host_port(address.rest);
    if (!where || where->port == 0) {
        return fail(address.text + ": expected HOST:PORT after 'sealed:'" +
                    (where ? "" : ": " + where.error().what));
    }
    const std::string* const key = address.find("key");
    UpstreamSource::Options options;
    options.server = key != nullptr ? sealed::decode_public_key(*key) : std::nullopt;
    if (!options.server) {
        return fail(address.text + ": key= is to be the server's public key, 44 characters of base64, as "
                                   "ekeydctl pubkey prints it there");
    }
    options.path = "sealed:" + address.rest;
    options.claimed = address.find("min-entropy") != nullptr;
    options.min_entropy = sealed_claim;
    options.where.kind = "tcp";
    options.where.rest = options.where.text = address.rest;
    if (context.node) { // else its address alone is looked at
        const auto node = context.node();
        if (!node) {
            return tl::unexpected(node.error());
        }
        options.node = *node;
    }
    return std::make_unique<UpstreamSource>(context.loop, std::move(options));
}

#if defined(EKEYD_HAVEGE) || defined(EKEYD_JITTER)
template <auto Make>
Made make_processor_noise(const config::Address& address, const SourceContext& context) {
    if (auto known = config::check_parameters(address, {"min-entropy", "fips"}); !known) {
        return tl::unexpected(known.error());
    }
    if (!address.rest.empty()) {
        return fail(address.text + ": nothing follows '" + address.kind + ":' but ,name=value");
    }
    return Make(context.loop);
}
#endif

struct Driver {
    std::string_view kind;
    Made (*make)(const config::Address&, const SourceContext&);
};

constexpr std::array drivers{
    Driver{"device", make_device},
    Driver{"tty", make_tty},
    Driver{"egd", make_egd},
    Driver{"sealed", make_sealed},
#ifdef EKEYD_HAVEGE
    Driver{"havege", make_processor_noise<make_havege>},
#endif
#ifdef EKEYD_JITTER
    Driver{"jitter", make_processor_noise<make_jitter>},
#endif
};

constexpr std::array usb_drivers{
#define USB_DONGLE(name, rest) &name##_driver,
#include "ekeyd/config/usb_dongles.inc"
#undef USB_DONGLE
};

constexpr std::string_view usb_place = "usb";

Made make_dongle(const UsbDriver& driver, const config::Address& address, const SourceContext& context) {
    const std::string_view rest = address.rest;
    if (rest.starts_with("usb:") && rest.size() > 4) {
        const std::string name(rest.substr(4));
        LinkOpener open = [&loop = context.loop, start_usb = context.usb, &driver,
                           choice =
                               usb::Choice{driver.ids, name, std::string(driver.called)}](LinkOwner& owner) {
            auto backend = start_usb ? start_usb() : fail("USB is not used here");
            return backend ? usb::UsbLink::open(loop, **backend, choice, driver.plan, owner)
                           : Result<std::unique_ptr<Link>>(tl::unexpected(backend.error()));
        };
        return driver.make({context, address, std::string(driver.kind) + ":" + address.rest,
                            driver.own_serial ? name : "", std::move(open)});
    }
    if (driver.tty && rest.starts_with("/")) {
        return driver.make({context, address, address.rest, "", TtyLink::opener(context.loop, address.rest)});
    }
    return fail(address.text + ": expected usb, usb:SERIAL or usb:PLACE" +
                (driver.tty ? ", or the absolute path of a tty or a Unix socket," : "") + " after '" +
                std::string(driver.kind) + ":'");
}

} // namespace

const UsbDriver* finds_many(const config::Address& address) {
    const auto found = std::find_if(usb_drivers.begin(), usb_drivers.end(), [&](const UsbDriver* driver) {
        return driver->kind == address.kind && address.rest == usb_place;
    });
    return found == usb_drivers.end() ? nullptr : *found;
}

bool finds_in_folder(const config::Address& address) {
    return address.kind == "entropykey" && address.rest.starts_with('/') && address.rest.ends_with('/');
}

Result<std::unique_ptr<Source>> make_source(const config::Address& address, const SourceContext& context) {
    std::string kinds;
    for (const UsbDriver* driver : usb_drivers) {
        if (driver->kind == address.kind) {
            return make_dongle(*driver, address, context);
        }
        kinds += (kinds.empty() ? "" : ", ") + std::string(driver->kind);
    }
    for (const Driver& driver : drivers) {
        if (driver.kind == address.kind) {
            return driver.make(address, context);
        }
        kinds += ", " + std::string(driver.kind);
    }
    return fail(address.text + ": this build has no source of kind '" + address.kind + "' (it has: " + kinds +
                ")");
}

Result<void> check_source(const config::Address& address) {
    Loop loop;
    config::Address one = address;
    if (finds_many(address) != nullptr) {
        one.rest += ":any"; // what may be said of all of them may be said of one
    } else if (finds_in_folder(address)) {
        if (address.find("serial") != nullptr) {
            return fail(address.text + ": serial= is for one key, and not for all in a folder");
        }
        one.rest += "any";
    }
    const auto source = make_source(one, {loop, [](const auto&) { return nullptr; }});
    if (!source) {
        return tl::unexpected(source.error());
    }
    const auto claims = parse_claims(address, **source);
    return claims ? Result<void>() : tl::unexpected(claims.error());
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
