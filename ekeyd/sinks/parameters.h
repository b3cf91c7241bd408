// What file: and fifo: take beside their path.
#pragma once

#include "ekeyd/config/address.h"

namespace ekey {

// The value of rate=, in bytes a second, or 0 for none. Errors: an empty or relative path, another parameter.
inline Result<std::uint64_t> parse_stream_parameters(const config::Address& address) {
    if (address.rest.empty() || address.rest.front() != '/') {
        return fail("sink \"" + address.text + "\": expected an absolute path: " + address.kind +
                    ":/PATH[,rate=BYTES_PER_S]");
    }
    if (auto known = config::check_parameters(address, {"rate"}); !known) {
        return tl::unexpected(known.error());
    }
    const std::string* rate = address.find("rate");
    return rate == nullptr ? Result<std::uint64_t>(0) : config::parse_number("rate", *rate, 1, 1'000'000'000);
}

} // namespace ekey
