// Who may use a listener. Networks and addresses are those that RFC 5737 and RFC 3849 keep for documents.
#include "ekeyd/listeners/access.h"

#include <string>

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ekeyd/runtime/handle.h"

using namespace ekey;

namespace {

Result<NetworkAccess> read(const std::string& rules) {
    return NetworkAccess::read(config::parse_address("tcp:127.0.0.1:1" + rules).value());
}

bool admits(const std::string& rules, const std::string& peer) {
    const auto access = read(rules);
    REQUIRE_MESSAGE(access.has_value(), rules);
    const IpAddress address = IpAddress::parse(peer);
    REQUIRE(address.family != IpAddress::Family::none);
    return access->admits(address);
}

std::string refusal(const std::string& rules) {
    const auto access = read(rules);
    return access ? "" : access.error().what;
}

bool says(const std::string& text, std::string_view part) {
    INFO(text);
    return text.find(part) != std::string::npos;
}

// As the kernel tells it.
IpAddress from_v6(const char* text) {
    sockaddr_storage storage{};
    auto& in = reinterpret_cast<sockaddr_in6&>(storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = 99;
    in.sin6_scope_id = 7;
    REQUIRE(inet_pton(AF_INET6, text, &in.sin6_addr) == 1);
    return IpAddress::of(storage);
}

} // namespace

TEST_CASE("access: everyone, when nothing is said") {
    CHECK(read("")->open());
    CHECK(admits("", "192.0.2.1"));
    CHECK(admits("", "2001:db8::1"));
}

TEST_CASE("access: allow= means these and no others, deny= all but these") {
    CHECK(admits(",allow=192.0.2.0/24", "192.0.2.255"));
    CHECK_FALSE(admits(",allow=192.0.2.0/24", "192.0.3.0"));
    CHECK_FALSE(admits(",allow=192.0.2.0/24", "2001:db8::1"));
    CHECK_FALSE(admits(",deny=192.0.2.0/24", "192.0.2.0"));
    CHECK(admits(",deny=192.0.2.0/24", "192.0.1.255"));
    CHECK(admits(",deny=192.0.2.0/24", "2001:db8::1"));
    CHECK(admits(",allow=192.0.2.1,allow=2001:db8::/32", "2001:db8:ffff::1"));
    CHECK(admits(",allow=192.0.2.1,allow=2001:db8::/32", "192.0.2.1"));
    CHECK_FALSE(admits(",allow=192.0.2.1,allow=2001:db8::/32", "2001:db9::1"));
    CHECK_FALSE(admits(",allow=192.0.2.1", "192.0.2.2"));
    CHECK(admits(",allow=2001:db8::7", "2001:db8::7"));
    CHECK_FALSE(admits(",allow=2001:db8::7", "2001:db8::6"));
    CHECK(admits(",allow=0.0.0.0/0", "198.51.100.1"));
    CHECK_FALSE(admits(",allow=0.0.0.0/0", "2001:db8::1"));
}

TEST_CASE("access: the most specific network decides, in whatever order they stand") {
    for (const std::string rules : {",deny=192.0.2.0/24,allow=192.0.2.128/25,deny=192.0.2.200",
                                    ",deny=192.0.2.200,allow=192.0.2.128/25,deny=192.0.2.0/24"}) {
        CHECK_FALSE(admits(rules, "192.0.2.1"));
        CHECK_FALSE(admits(rules, "192.0.2.127"));
        CHECK(admits(rules, "192.0.2.128"));
        CHECK(admits(rules, "192.0.2.199"));
        CHECK_FALSE(admits(rules, "192.0.2.200"));
        CHECK_FALSE(admits(rules, "198.51.100.1")); // there is an allow=
    }
}

TEST_CASE("access: an IPv4 peer of an IPv6 socket is that IPv4 address") {
    const auto access = read(",allow=192.0.2.0/24");
    CHECK(access->admits(from_v6("::ffff:192.0.2.9")));
    CHECK_FALSE(access->admits(from_v6("::ffff:192.0.3.9")));
    CHECK_FALSE(access->admits(from_v6("::192.0.2.9"))); // another, obsolete, notation of IPv6's own
    CHECK(admits(",allow=::ffff:192.0.2.0/120", "192.0.2.7"));
    CHECK_FALSE(admits(",allow=::ffff:192.0.2.0/120", "192.0.3.7"));
    // All of IPv6 is not all of IPv4.
    CHECK_FALSE(read(",allow=::/0")->admits(from_v6("::ffff:192.0.2.9")));
    CHECK(read(",allow=::/0")->admits(from_v6("2001:db8::1")));
    CHECK(from_v6("fe80::1").text() == "fe80::1");
}

TEST_CASE("access: every length of a prefix") {
    for (unsigned length = 0; length <= 32; ++length) {
        const IpAddress address = IpAddress::parse("255.255.255.255");
        const std::uint32_t mask = length == 0 ? 0 : 0xffffffffu << (32 - length);
        in_addr expected{htonl(mask)};
        char text[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &expected, text, sizeof text);
        CHECK(address.masked(length).text() == text);
    }
    CHECK(IpAddress::parse("2001:db8:ffff:ffff::1").masked(64).text() == "2001:db8:ffff:ffff::");
    CHECK(IpAddress::parse("2001:db8:ffff:ffff::1").masked(45).text() == "2001:db8:fff8::");
    CHECK(IpAddress::parse("2001:db8::1").masked(128).text() == "2001:db8::1");
}

TEST_CASE("access: what is no network is refused in a sentence") {
    for (const char* bad :
         {"x", "192.0.2", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/8x", "/8",
          "2001:db8::/129", "[2001:db8::1]", "192.0.2.0/24/8", "localhost", "fe80::1%eth0"}) {
        CHECK(says(refusal(std::string(",allow=") + bad), "expected an address or a network"));
        CHECK(says(refusal(std::string(",deny=") + bad), "deny is \"" + std::string(bad)));
    }
    CHECK(says(refusal(",allow=192.0.2.1/24"),
               "for the network write 192.0.2.0/24, for the one host 192.0.2.1"));
    CHECK(says(refusal(",allow=2001:db8::1/64"), "2001:db8::/64"));
    CHECK(says(refusal(",allow=192.0.2.0/24,deny=192.0.2.0/24"), "both allowed and denied"));
    CHECK(refusal(",allow=192.0.2.0/24,allow=192.0.2.0/24") == "");
}

TEST_CASE("access: Unix peers by user and group, names and numbers") {
    const auto access = [](const std::string& rules) {
        PeerAccess made = PeerAccess::read(config::parse_address("unix:/x" + rules).value());
        const auto looked_up = made.look_up();
        REQUIRE_MESSAGE(looked_up.has_value(), rules);
        return made;
    };
    CHECK(access("").admits(1234, {1234}));
    const PeerAccess root = access(",allow-uid=root,allow-uid=4000");
    CHECK(root.admits(0, {}));
    CHECK(root.admits(4000, {0}));
    CHECK_FALSE(root.admits(4001, {0, 4000}));
    const PeerAccess group = access(",allow-uid=4000,allow-gid=root,allow-gid=77");
    CHECK(group.admits(5, {6, 77}));
    CHECK(group.admits(5, {0}));
    CHECK(group.admits(4000, {6}));
    CHECK_FALSE(group.admits(0, {6}));
    CHECK_FALSE(group.admits(77, {}));

    PeerAccess unknown =
        PeerAccess::read(config::parse_address("unix:/x,allow-uid=no-such-user-here").value());
    CHECK(says(unknown.look_up().error().what, "allow-uid: there is no user \"no-such-user-here\""));
    unknown = PeerAccess::read(config::parse_address("unix:/x,allow-gid=-1").value());
    CHECK(says(unknown.look_up().error().what, "no group"));
    unknown = PeerAccess::read(config::parse_address("unix:/x,allow-gid=4294967295").value());
    CHECK_FALSE(unknown.look_up());
}

TEST_CASE("access: the credentials are those that the kernel tells") {
    int pair[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    const Fd one(pair[0]), two(pair[1]);
    const auto admits_us = [&](const std::string& rules) {
        PeerAccess access = PeerAccess::read(config::parse_address("unix:/x" + rules).value());
        REQUIRE(access.look_up());
        return access.admits(one.get());
    };
    CHECK(admits_us(",allow-uid=" + std::to_string(geteuid())));
    CHECK_FALSE(admits_us(",allow-uid=" + std::to_string(geteuid() + 1)));
    CHECK(admits_us(",allow-gid=" + std::to_string(getegid())));
    CHECK_FALSE(admits_us(",allow-uid=" + std::to_string(geteuid() + 1) + ",allow-gid=4000000000"));
    const Fd tcp(socket(AF_INET, SOCK_STREAM, 0)); // has no such peer
    PeerAccess access = PeerAccess::read(config::parse_address("unix:/x,allow-uid=0").value());
    REQUIRE(access.look_up());
    CHECK_FALSE(access.admits(tcp.get()));
}
