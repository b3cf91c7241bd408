#include "ekeyd/listeners/listener_limits.h"

#include "ekeyd/listeners/pacer.h"

namespace ekey {

namespace {

constexpr std::uint64_t highest_max_clients = 1'000'000;

// A number of the address, when it is given, to where it belongs.
template <class Number>
Result<void> read_number(const config::Address& address, std::string_view name, std::uint64_t low,
                         std::uint64_t high, Number& to) {
    if (const std::string* text = address.find(name)) {
        const auto number = config::parse_number(name, *text, low, high);
        if (!number) {
            return tl::unexpected(number.error());
        }
        to = static_cast<Number>(*number);
    }
    return {};
}

Result<void> read_rate(const config::Address& address, const std::string& suffix, Rate& rate) {
    const std::string rate_name = "rate" + suffix, burst_name = "burst" + suffix;
    if (auto read = read_number(address, rate_name, 1, Rate::highest, rate.bytes_per_s); !read) {
        return read;
    }
    if (!rate.limited() && address.find(burst_name) != nullptr) {
        return fail(burst_name + " stands beside " + rate_name + '=' + ": without a rate there is no burst");
    }
    rate.burst = std::max(rate.bytes_per_s, Pacer::smallest_burst);
    return read_number(address, burst_name, Pacer::smallest_burst, Rate::highest, rate.burst);
}

Result<void> read_network(const config::Address& address, ClientNetworks::Options& network) {
    Result<void> read = read_rate(address, "-network", network.rate);
    if (read) {
        read = read_number(address, "max-clients-network", 1, highest_max_clients, network.max_clients);
    }
    if (read) {
        read = read_number(address, "network-prefix4", 1, 32, network.prefix4);
    }
    if (read) {
        read = read_number(address, "network-prefix6", 1, 128, network.prefix6);
    }
    for (const char* name : {"network-prefix4", "network-prefix6"}) {
        if (read && !network.any() && address.find(name) != nullptr) {
            read =
                fail(std::string(name) + " stands beside rate-network= or max-clients-network=: nothing else "
                                         "is counted by network");
        }
    }
    return read;
}

Result<void> read_writes(const config::Address& address, bool& mix) {
    const std::string* text = address.find("accept-writes");
    if (text != nullptr && *text != "mix" && *text != "discard") {
        return fail("accept-writes is \"" + *text + "\": it takes discard and mix");
    }
    mix = text != nullptr && *text == "mix";
    return {};
}

} // namespace

Result<Limits> Limits::read(const config::Address& address) {
    Limits limits;
    auto access = NetworkAccess::read(address);
    Result<void> read = access ? Result<void>() : tl::unexpected(access.error());
    if (read) {
        limits.access = std::move(*access);
        read = read_number(address, "max-clients", 1, highest_max_clients, limits.max_clients);
    }
    if (read) {
        read = read_rate(address, "", limits.rate);
    }
    if (read) {
        read = read_network(address, limits.network);
    }
    if (read) {
        read = limits.timeouts.read(address);
    }
    if (read) {
        read = read_writes(address, limits.mix_writes);
    }
    if (!read) {
        return tl::unexpected(read.error());
    }
    limits.local = address.kind == "unix";
    if (const std::string* text = address.find("local")) {
        const auto local = config::parse_yes_no("local", *text);
        if (!local) {
            return tl::unexpected(local.error());
        }
        limits.local = *local;
    }
    limits.peers = PeerAccess::read(address);
    return limits;
}

std::vector<std::string_view> Limits::parameters(std::string_view kind) {
    std::vector<std::string_view> names{"max-clients", "rate", "burst", "accept-writes", "local"};
    const auto add = [&names](const auto& more) { names.insert(names.end(), more.begin(), more.end()); };
    add(Timeouts::parameters);
    if (kind == "unix") {
        add(PeerAccess::parameters);
    } else if (kind == "tcp") {
        add(NetworkAccess::parameters);
        add(std::initializer_list<std::string_view>{"max-clients-network", "rate-network", "burst-network",
                                                    "network-prefix4", "network-prefix6"});
    }
    return names;
}

} // namespace ekey
