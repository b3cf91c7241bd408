// What an address pollen: may say, and what is said of a mistake.
#include <doctest/doctest.h>

#include "ekeyd/config/kinds.h"
#include "ekeyd/http/make.h"
#include "ekeyd/http/pollen_listener.h"

using namespace ekey;
using namespace std::chrono_literals;

namespace {

std::string refused(const std::string& text) {
    const auto address = config::check_address(config::Role::listen, text);
    if (!address) {
        return address.error().what;
    }
    const auto checked = http::check_listener(*address);
    REQUIRE_MESSAGE(!checked, text);
    return checked.error().what;
}

http::PollenOptions taken(const std::string& text) {
    const auto address = config::check_address(config::Role::listen, text);
    REQUIRE_MESSAGE(address, (address ? "" : address.error().what));
    auto options = http::read_pollen_options(*address);
    REQUIRE_MESSAGE(options, (options ? "" : options.error().what));
    return std::move(*options);
}

} // namespace

TEST_CASE("pollen listener: what an address has when it says nothing") {
    const auto options = taken("pollen:0.0.0.0:80");
    CHECK(options.where.host == "0.0.0.0");
    CHECK(options.where.port == 80);
    CHECK(options.certificate.empty());
    // Of ekeyd.conf(5).
    CHECK(options.service.wait == 8s);
    CHECK(options.service.limits.max_clients == 512);
    CHECK(options.service.limits.network.max_clients == 256);
    CHECK(options.service.limits.network.rate.bytes_per_s == 1024);
    CHECK(options.service.limits.network.rate.burst == 16384);
    CHECK_FALSE(options.service.limits.rate.limited());
    CHECK_FALSE(options.service.limits.local);
    CHECK_FALSE(options.service.limits.mix_writes);
    CHECK_FALSE(options.service.drbg.has_value());
}

TEST_CASE("pollen listener: every parameter is taken") {
    const auto options = taken("pollen:[::1]:443,cert=/c,key=/k,wait=3,max-clients=7,max-clients-network=5,"
                               "rate=300,burst=400,rate-network=500,network-prefix4=32,network-prefix6=48,"
                               "allow=192.0.2.0/24,deny=192.0.2.7,local=yes,accept-writes=mix,output=drbg,"
                               "max-age=60,prediction-resistance=yes");
    CHECK(options.certificate == "/c");
    CHECK(options.key == "/k");
    CHECK(options.service.wait == 3s);
    const ekey::Limits& limits = options.service.limits;
    CHECK(limits.max_clients == 7);
    CHECK(limits.network.max_clients == 5);
    CHECK(limits.rate.bytes_per_s == 300);
    CHECK(limits.rate.burst == 400);
    CHECK(limits.network.rate.bytes_per_s == 500);
    CHECK(limits.network.rate.burst == 500); // a second's worth, as for tcp
    CHECK(limits.network.prefix4 == 32);
    CHECK(limits.network.prefix6 == 48);
    CHECK(limits.access.admits(IpAddress::parse("192.0.2.1")));
    CHECK_FALSE(limits.access.admits(IpAddress::parse("192.0.2.7")));
    CHECK(limits.local);
    CHECK(limits.mix_writes);
    REQUIRE(options.service.drbg.has_value());
    CHECK(options.service.drbg->max_age == 60s);
    CHECK(options.service.drbg->prediction_resistance);
    CHECK(taken("pollen:h:1,burst-network=999").service.limits.network.rate.burst == 999);
    CHECK(taken("pollen:h:1,burst-network=999").service.limits.network.rate.bytes_per_s == 1024);
}

TEST_CASE("pollen listener: what is wrong with a parameter") {
    CHECK(refused("pollen:") != "");
    CHECK(refused("pollen:80") != "");
    CHECK(refused("pollen:h:1,cert=/c") == "cert stands alone: TLS needs key=FILE, too");
    CHECK(refused("pollen:h:1,key=/k") == "key stands alone: TLS needs cert=FILE, too");
    CHECK(refused("pollen:h:1,cert=c,key=/k").starts_with("cert: path \"c\" does not begin with /"));
    CHECK(refused("pollen:h:1,cert=/c,key=k").starts_with("key: path \"k\" does not begin with /"));
    CHECK(refused("pollen:h:1,wait=0") == "wait is \"0\": expected a whole number from 1 to 60");
    CHECK(refused("pollen:h:1,wait=61") == "wait is \"61\": expected a whole number from 1 to 60");
    CHECK(refused("pollen:h:1,max-clients=0").starts_with("max-clients is \"0\""));
    CHECK(refused("pollen:h:1,max-clients=10001") ==
          "max-clients is \"10001\": expected a whole number from 1 to 10000");
    CHECK(refused("pollen:h:1,max-clients-network=0").starts_with("max-clients-network is \"0\""));
    CHECK(refused("pollen:h:1,rate=0").starts_with("rate is \"0\""));
    CHECK(refused("pollen:h:1,burst=300") == "burst stands beside rate=: without a rate there is no burst");
    CHECK(refused("pollen:h:1,rate=9,burst=254").starts_with("burst is \"254\""));
    CHECK(refused("pollen:h:1,rate-network=x").starts_with("rate-network is \"x\""));
    CHECK(refused("pollen:h:1,burst-network=1").starts_with("burst-network is \"1\""));
    CHECK(refused("pollen:h:1,network-prefix4=33").starts_with("network-prefix4 is \"33\""));
    CHECK(refused("pollen:h:1,network-prefix6=129").starts_with("network-prefix6 is \"129\""));
    CHECK(refused("pollen:h:1,allow=1.2.3").find("allow") != std::string::npos);
    CHECK(refused("pollen:h:1,deny=1.2.3.4/40").find("deny") != std::string::npos);
    CHECK(refused("pollen:h:1,local=perhaps").find("local") != std::string::npos);
    CHECK(refused("pollen:h:1,accept-writes=no") == "accept-writes is \"no\": it takes discard and mix");
    CHECK(refused("pollen:h:1,output=x") == "output is \"x\": it takes full-entropy and drbg");
    CHECK(refused("pollen:h:1,max-age=5").starts_with("max-age belongs to output=drbg"));
    CHECK(refused("pollen:h:1,waits=5").find("did you mean wait?") != std::string::npos);
    // Of tcp:, and not of these.
    CHECK(refused("pollen:h:1,idle=5").find("has no parameter \"idle\"") != std::string::npos);
    CHECK(refused("pollen:h:1,handshake=5").find("has no parameter \"handshake\"") != std::string::npos);
}
