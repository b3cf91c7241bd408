#include "ekeyd/listeners/network.h"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace ekey {

namespace {

constexpr std::array<Byte, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}; // RFC 4291 2.5.5.2
constexpr unsigned mapped_bits = 8 * mapped_prefix.size();

bool is_mapped(const IpAddress& address) {
    return address.family == IpAddress::Family::v6 &&
           std::equal(mapped_prefix.begin(), mapped_prefix.end(), address.bytes.begin());
}

IpAddress unmapped(const IpAddress& address) {
    IpAddress v4{IpAddress::Family::v4};
    std::copy_n(address.bytes.begin() + mapped_prefix.size(), 4, v4.bytes.begin());
    return v4;
}

template <class Bytes>
IpAddress make(IpAddress::Family family, const Bytes& bytes) {
    IpAddress made{family};
    std::memcpy(made.bytes.data(), &bytes, sizeof bytes);
    return made;
}

IpAddress parse_as_written(const std::string& text) {
    in_addr v4{};
    in6_addr v6{};
    if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
        return make(IpAddress::Family::v4, v4);
    }
    if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) {
        return make(IpAddress::Family::v6, v6);
    }
    return {};
}

} // namespace

IpAddress IpAddress::of(const sockaddr_storage& peer) {
    if (peer.ss_family == AF_INET) {
        return make(Family::v4, reinterpret_cast<const sockaddr_in&>(peer).sin_addr);
    }
    if (peer.ss_family == AF_INET6) {
        const IpAddress v6 = make(Family::v6, reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr);
        return is_mapped(v6) ? unmapped(v6) : v6;
    }
    return {};
}

IpAddress IpAddress::parse(const std::string& text) {
    const IpAddress address = parse_as_written(text);
    return is_mapped(address) ? unmapped(address) : address;
}

IpAddress IpAddress::masked(unsigned prefix) const {
    IpAddress masked = *this;
    for (unsigned i = 0; i < bytes.size(); ++i) {
        const unsigned kept = prefix > 8 * i ? std::min(prefix - 8 * i, 8u) : 0;
        masked.bytes[i] &= static_cast<Byte>(0xff00 >> kept);
    }
    return masked;
}

std::string IpAddress::text() const {
    char shown[INET6_ADDRSTRLEN];
    if (family == Family::none ||
        inet_ntop(family == Family::v4 ? AF_INET : AF_INET6, bytes.data(), shown, sizeof shown) == nullptr) {
        return {};
    }
    return shown;
}

Result<IpNetwork> IpNetwork::parse(std::string_view name, const std::string& text) {
    const std::size_t slash = text.find('/');
    IpNetwork network{parse_as_written(text.substr(0, slash)), 0};
    network.prefix = network.address.bits();
    bool good = network.prefix > 0;
    if (good && slash != std::string::npos) {
        const char* const end = text.data() + text.size();
        const auto [last, error] = std::from_chars(text.data() + slash + 1, end, network.prefix);
        good = error == std::errc() && last == end && network.prefix <= network.address.bits();
    }
    if (!good) {
        return fail(std::string(name) + " is \"" + text +
                    "\": expected an address or a network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32");
    }
    if (is_mapped(network.address) && network.prefix >= mapped_bits) {
        network = {unmapped(network.address), network.prefix - mapped_bits};
    }
    if (const IpNetwork meant{network.address.masked(network.prefix), network.prefix}; meant != network) {
        return fail(std::string(name) + " is \"" + text +
                    "\", which has bits behind its prefix: for the network write " + meant.text() +
                    ", for the one host " + network.address.text());
    }
    return network;
}

} // namespace ekey
