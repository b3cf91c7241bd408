#include <doctest/doctest.h>

#include "ekeyd/sources/registry.h"

using namespace ekey;

namespace {

std::string refusal(const char* text) {
    Loop loop;
    const auto address = config::parse_address(text);
    REQUIRE(address);
    const auto source = make_source(*address, {loop, [](const auto&) { return nullptr; }});
    if (!source) {
        return source.error().what;
    }
    const auto claims = parse_claims(*address, **source);
    return claims ? "" : claims.error().what;
}

SourceClaims claims(const char* text) {
    Loop loop;
    const auto address = config::parse_address(text);
    REQUIRE(address);
    const auto source = make_source(*address, {loop, [](const auto&) { return nullptr; }});
    REQUIRE(source);
    return *parse_claims(*address, **source);
}

} // namespace

TEST_CASE("each driver states a default claim below 8 bits a byte, and the owner may set another") {
    CHECK(claims("entropykey:/dev/ttyACM0").min_entropy == 7);
    CHECK(claims("device:/dev/hwrng").min_entropy == 4);
    CHECK(claims("entropykey:usb:NwBvBlg3OTBJORFD").min_entropy == 7);
    CHECK(claims("onerng:usb:1-4").min_entropy == 6.5);
    CHECK(claims("truerng:usb:1-4.2").min_entropy == 4);
    CHECK(claims("chaoskey:usb:1-4").min_entropy == 7);
    CHECK(claims("alea:usb:1-4").min_entropy == 7);
    CHECK(claims("tty:/dev/ttyS0,baud=9600").min_entropy == 4);
    CHECK(claims("device:/dev/hwrng,min-entropy=0").min_entropy == 0);
    CHECK(claims("device:/dev/hwrng,min-entropy=7.5").min_entropy == 7.5);
    CHECK(claims("device:/dev/hwrng").fips);
    CHECK_FALSE(claims("device:/dev/hwrng,fips=no").fips);
}

TEST_CASE("an address that means every dongle of a kind is told from that of one") {
    const auto finds = [](const char* text) { return finds_many(*config::parse_address(text)) != nullptr; };
    CHECK(finds("entropykey:usb"));
    CHECK(finds("truerng:usb,min-entropy=1"));
    CHECK_FALSE(finds("entropykey:usb:NwBvBlg3OTBJORFD"));
    CHECK_FALSE(finds("entropykey:/dev/ttyACM0"));
    CHECK_FALSE(finds("device:usb"));
    CHECK(check_source(*config::parse_address("entropykey:usb,min-entropy=3")));
    CHECK_FALSE(check_source(*config::parse_address("entropykey:usb,min-entropy=9")));
    CHECK_FALSE(check_source(*config::parse_address("onerng:usb,colour=red")));
}

TEST_CASE("an address that means every key in a folder ends with a slash") {
    const auto finds = [](const char* text) { return finds_in_folder(*config::parse_address(text)); };
    CHECK(finds("entropykey:/dev/entropykey/"));
    CHECK(finds("entropykey:/dev/entropykey/,min-entropy=2"));
    CHECK_FALSE(finds("entropykey:/dev/entropykey/NwBvBlg3OTBJORFD"));
    CHECK_FALSE(finds("truerng:/dev/folder/"));
    CHECK(check_source(*config::parse_address("entropykey:/dev/entropykey/,min-entropy=2")));
    CHECK_FALSE(check_source(*config::parse_address("entropykey:/dev/entropykey/,min-entropy=9")));
    CHECK(check_source(*config::parse_address("entropykey:/dev/entropykey/,serial=NwBvBlg3OTBJORFD"))
              .error()
              .what.find("for one key, and not for all in a folder") != std::string::npos);
}

TEST_CASE("an address that no driver can use is refused with what is wrong in it") {
    const auto says = [](const char* text, const char* part) {
        INFO(text);
        CHECK(refusal(text).find(part) != std::string::npos);
    };
    says("toaster:/dev/x", "no source of kind 'toaster' (it has: entropykey, ");
    says("entropykey:ttyACM0", "or the absolute path of a tty or a Unix socket, after 'entropykey:'");
    says("entropykey:usb:", "expected usb, usb:SERIAL or usb:PLACE");
    says("chaoskey:/dev/ttyACM0", "expected usb, usb:SERIAL or usb:PLACE after 'chaoskey:'");
    says("onerng:usb:1-1,serial=x", "serial");
    says("tty:ttyS0", "expected the absolute path of a tty");
    says("tty:/dev/ttyS0,baud=1", "baud");
    says("tty:/dev/ttyS0,baud=12345", "baud=12345: a tty has no such rate");
    says("device:", "expected the absolute path");
    says("device:/dev/hwrng,min-entropy=9", "min-entropy");
    says("device:/dev/hwrng,min-entropy=-1", "min-entropy");
    says("device:/dev/hwrng,min-entropy=nan", "min-entropy");
    says("device:/dev/hwrng,min-entropi=1", "min-entropy"); // the suggestion
    says("device:/dev/hwrng,fips=perhaps", "fips");
    says("entropykey:/dev/ttyACM0,serial=short", "serial=short");
}
