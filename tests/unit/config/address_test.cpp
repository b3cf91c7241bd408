#include <doctest/doctest.h>

#include <string>

#include "ekeyd/config/address.h"

using namespace ekey::config;

namespace {
// The sentence with which something was refused; fails the test when it was not.
template <class T>
std::string refused(const ekey::Result<T>& result) {
    REQUIRE_FALSE(result.has_value());
    return result.error().what;
}
bool holds(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}
} // namespace

TEST_CASE("address: kind, rest and parameters") {
    const auto a = parse_address("unix:/run/ekeyd/egd.sock,mode=0660,group=entropy").value();
    CHECK(a.kind == "unix");
    CHECK(a.rest == "/run/ekeyd/egd.sock");
    CHECK(a.parameters.size() == 2);
    CHECK(*a.find("mode") == "0660");
    CHECK(*a.find("group") == "entropy");
    CHECK(a.find("user") == nullptr);
    CHECK(a.text == "unix:/run/ekeyd/egd.sock,mode=0660,group=entropy");
}

TEST_CASE("address: a kind alone, an empty rest, colons in the rest") {
    CHECK(parse_address("kernel")->kind == "kernel");
    CHECK(parse_address("kernel")->rest == "");
    CHECK(parse_address("kernel,interval=60")->parameters.size() == 1);
    CHECK(parse_address("havege:")->rest == "");
    CHECK(parse_address("egd:tcp:host:8888")->rest == "tcp:host:8888");
    CHECK(parse_address("tcp:[::1]:8888")->rest == "[::1]:8888");
    CHECK(parse_address("sealed:h:1,key=ab+/=")->parameters.find("key")->second == "ab+/=");
}

TEST_CASE("address: a comma after a backslash belongs to the text") {
    const auto a = parse_address(R"(unix:/tmp/a\,b\c\\,group=x\,y)").value();
    CHECK(a.rest == R"(/tmp/a,b\c\)");
    CHECK(*a.find("group") == "x,y");
}

TEST_CASE("address: what is refused") {
    CHECK(holds(refused(parse_address("")), "empty"));
    CHECK(holds(refused(parse_address("/dev/ttyACM0")), "unix:/dev/ttyACM0"));
    CHECK(holds(refused(parse_address("TCP:1:2")), "no kind"));
    CHECK(holds(refused(parse_address(":x")), "no kind"));
    CHECK(holds(refused(parse_address("unix:/a\nb")), "control character"));
    CHECK(holds(refused(parse_address(std::string_view("unix:/a\0b", 9))), "control character"));
    CHECK(holds(refused(parse_address("unix:/a,mode")), "write mode=VALUE"));
    CHECK(holds(refused(parse_address("unix:/a,mode=")), "write mode=VALUE"));
    CHECK(holds(refused(parse_address("unix:/a,,mode=1")), "is no name=value"));
    CHECK(holds(refused(parse_address("unix:/a,")), "is no name=value"));
    CHECK(holds(refused(parse_address("unix:/a,mode=1,mode=2")), "given twice"));
    const auto several = parse_address("tcp:h:1,allow=10.0.0.0/8,deny=10.1.0.0/16,allow=::1");
    REQUIRE(several);
    CHECK(several->values("allow") == std::vector<std::string>{"10.0.0.0/8", "::1"});
    CHECK(several->values("deny") == std::vector<std::string>{"10.1.0.0/16"});
    CHECK(several->values("allow-uid").empty());
    CHECK(parse_address("unix:" + std::string(4091, 'a')).has_value());
    CHECK(holds(refused(parse_address("unix:" + std::string(4092, 'a'))), "longer than 4096"));
}

TEST_CASE("address: unknown parameters are refused with the nearest known one") {
    const auto a = parse_address("unix:/a,modus=1").value();
    CHECK(check_parameters(a, {"mode", "modus"}).has_value());
    CHECK(holds(refused(check_parameters(a, {"mode", "group"})), "did you mean mode?"));
    CHECK(holds(refused(check_parameters(a, {"group", "user"})), "it takes group, user"));
    CHECK(holds(refused(check_parameters(a, {})), "it takes none"));
}

TEST_CASE("host and port") {
    CHECK(parse_host_port("127.0.0.1:8888")->host == "127.0.0.1");
    CHECK(parse_host_port("127.0.0.1:8888")->port == 8888);
    CHECK(parse_host_port("[::1]:65535")->host == "::1");
    CHECK(parse_host_port("[fe80::1%eth0]:1")->host == "fe80::1%eth0");
    CHECK(parse_host_port("entropy.example.org:0")->port == 0);
    CHECK(holds(refused(parse_host_port("host")), "has no port"));
    CHECK(holds(refused(parse_host_port("[::1]")), "has no port"));
    CHECK(holds(refused(parse_host_port("::1:8888")), "brackets"));
    CHECK(holds(refused(parse_host_port(":8888")), "has no host"));
    CHECK(holds(refused(parse_host_port("h:65536")), "from 0 to 65535"));
    CHECK(holds(refused(parse_host_port("h:")), "from 0 to 65535"));
    CHECK(holds(refused(parse_host_port("h:+1")), "from 0 to 65535"));
    CHECK(holds(refused(parse_host_port("a b:1")), "no host name"));
    CHECK(holds(refused(parse_host_port(std::string(254, 'a') + ":1")), "no host name"));
}

TEST_CASE("CID and port of vsock") {
    CHECK(parse_cid_port("2:8888")->cid == 2);
    CHECK(parse_cid_port("2:8888")->port == 8888);
    CHECK(parse_cid_port("any:1")->cid == 0xffffffff);
    CHECK(parse_cid_port("local:1")->cid == 1);
    CHECK(parse_cid_port("host:4294967294")->cid == 2);
    CHECK(parse_cid_port("host:4294967294")->port == 4294967294);
    CHECK(holds(refused(parse_cid_port("2")), "has no port"));
    CHECK(holds(refused(parse_cid_port("")), "has no port"));
    CHECK(holds(refused(parse_cid_port("2:0")), "from 1 to 4294967294"));
    CHECK(holds(refused(parse_cid_port("2:4294967295")), "from 1 to 4294967294"));
    CHECK(holds(refused(parse_cid_port("2:3:4")), "from 1 to 4294967294"));
    CHECK(holds(refused(parse_cid_port(":3")), "any, local or host"));
    CHECK(holds(refused(parse_cid_port("-1:3")), "any, local or host"));
    CHECK(holds(refused(parse_cid_port("4294967296:3")), "any, local or host"));
    CHECK(holds(refused(parse_cid_port("hots:3")), "any, local or host"));
}

TEST_CASE("numbers, modes, yes and no") {
    CHECK(parse_number("n", "18446744073709551615", 0, UINT64_MAX).value() == UINT64_MAX);
    CHECK(holds(refused(parse_number("rate", "18446744073709551616", 0, UINT64_MAX)), "rate is"));
    for (const char* bad : {"", " 1", "1 ", "-1", "+1", "0x10", "1e3", "4"}) {
        CAPTURE(bad);
        CHECK(holds(refused(parse_number("n", bad, 0, 3)), "from 0 to 3"));
    }
    CHECK(parse_decimal("d", "7.5", 0, 8).value() == 7.5);
    CHECK(parse_decimal("d", "0", 0, 8).value() == 0);
    CHECK(parse_decimal("d", "1.00000000100000000000000000001", 1, 3600).value() == 1.000000001);
    CHECK(parse_decimal("d", "000000000000000001.1", 1, 3600).value() == 1.1);
    CHECK(parse_decimal("d", "3599.99999999999999999", 1, 3600).value() <= 3600);
    for (const char* bad : {"", "nan", "inf", "8.01", "-0.1", "1e0", "0x1", "7,5", "7.5 "}) {
        CAPTURE(bad);
        CHECK(holds(refused(parse_decimal("min-entropy", bad, 0, 8)), "min-entropy is"));
    }
    CHECK(parse_mode("0660").value() == 0660);
    CHECK(parse_mode("7777").value() == 07777);
    for (const char* bad : {"", "0680", "10000", "-1", "rw", "0660 "}) {
        CAPTURE(bad);
        CHECK(holds(refused(parse_mode(bad)), "octal"));
    }
    CHECK(parse_yes_no("x", "on").value());
    CHECK_FALSE(parse_yes_no("x", "0").value());
    CHECK(holds(refused(parse_yes_no("x", "maybe")), "expected yes or no"));
}

TEST_CASE("nearest: a slip is found, another word is not") {
    CHECK(nearest("lisen", {"source", "listen"}) == "listen");
    CHECK(nearest("lsiten", {"source", "listen"}) == "listen");
    CHECK(nearest("Listen", {"source", "listen"}) == "listen");
    CHECK(nearest("snik", {"sink", "source"}) == "sink");
    CHECK(nearest("sorce", {"sink", "source"}) == "source");
    CHECK(nearest("tcp", {"unix", "tcp"}) == "tcp");
    CHECK(nearest("port", {"mode", "group"}) == "");
    CHECK(nearest("x", {"a"}) == "");
    CHECK(nearest("", {"a"}) == "");
    CHECK(nearest(std::string(65, 'a'), {std::string_view("aaaa")}) == "");
}
