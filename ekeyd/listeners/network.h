// Addresses of peers, and the networks that a rule names.
#pragma once

#include <array>
#include <compare>
#include <string>
#include <string_view>

#include <sys/socket.h>

#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey {

struct IpAddress {
    enum class Family : Byte { none, v4, v6 }; // none: a Unix peer

    Family family = Family::none;
    std::array<Byte, 16> bytes{}; // IPv4: the first four, and zeros

    // Of a peer, as accept() tells it. An IPv4 address in IPv6 form (::ffff:192.0.2.1, as a socket on [::]
    // sees it) becomes the IPv4 address that it is. Anything but IP has no family.
    static IpAddress of(const sockaddr_storage& peer);
    // "192.0.2.1" or "2001:db8::1"; no family when it is neither.
    static IpAddress parse(const std::string& text);

    unsigned bits() const { return family == Family::v4 ? 32 : family == Family::v6 ? 128 : 0; }
    IpAddress masked(unsigned prefix) const; // the first `prefix` bits (all, when it has fewer), then zeros
    std::string text() const;                // empty without a family

    auto operator<=>(const IpAddress&) const = default;
};

// An address and the length of its prefix: 192.0.2.0/24, 2001:db8::/32, or one host.
struct IpNetwork {
    IpAddress address; // masked
    unsigned prefix = 0;

    // Refuses, in one sentence that begins with `name`, what is no network, and one with bits behind its
    // prefix, which is a slip more often than not. A network within ::ffff:0:0/96 is the IPv4 network that it
    // stands for; a wider one, such as ::/0, holds no IPv4 address.
    static Result<IpNetwork> parse(std::string_view name, const std::string& text);

    bool holds(const IpAddress& one) const {
        return one.family == address.family && one.masked(prefix) == address;
    }
    std::string text() const { return address.text() + '/' + std::to_string(prefix); }
    auto operator<=>(const IpNetwork&) const = default;
};

} // namespace ekey
