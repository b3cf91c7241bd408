// Who may have how many bytes when, by a clock of the test's own.
#include "ekeyd/listeners/pacer.h"

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace ekey;
using namespace std::chrono_literals;

namespace {

constexpr Time start{std::chrono::hours(1)};

IpAddress ip(const std::string& text) {
    const IpAddress address = IpAddress::parse(text);
    REQUIRE(address.family != IpAddress::Family::none);
    return address;
}

ClientNetworks::Options networks(const Rate& rate, std::size_t max_clients = 0) {
    ClientNetworks::Options options;
    options.rate = rate;
    options.max_clients = max_clients;
    return options;
}

// Runs the pacer's clock to `end`; who is released is counted, and asks again at once for as much as before.
struct Crowd {
    Pacer& pacer;
    std::map<Pacer::Id, std::size_t> sizes;
    std::map<Pacer::Id, std::size_t> got;

    void ask(Pacer::Id id, Time now) {
        while (pacer.pass(id, sizes[id], now)) {
            got[id] += sizes[id];
        }
        pacer.hold(id, sizes[id], now);
    }
    void run(Time now, Time end) {
        for (const auto& [id, size] : sizes) {
            ask(id, now);
        }
        while (pacer.next() <= end) {
            REQUIRE(pacer.next() >= start - 24h);
            now = std::max(now, pacer.next());
            while (const auto id = pacer.release(now)) {
                got[*id] += sizes[*id];
                ask(*id, now);
            }
        }
    }
};

} // namespace

TEST_CASE("pacer: a client has its burst at once, waits for the next bytes, and gets them in time") {
    Pacer pacer({100, 300}, {});
    REQUIRE(pacer.enter(5, {}, start));
    CHECK(pacer.next() == Time::max());
    CHECK(pacer.allowed(5, 255, start) == 255);
    CHECK(pacer.pass(5, 255, start));
    CHECK(pacer.allowed(5, 255, start) == 45);
    CHECK_FALSE(pacer.pass(5, 145, start));
    pacer.hold(5, 145, start);
    CHECK(pacer.held() == 1);
    CHECK(pacer.next() == start + 1s);
    CHECK_FALSE(pacer.release(start + 999ms));
    CHECK(pacer.release(start + 1s) == 5);
    CHECK_FALSE(pacer.release(start + 1s));
    CHECK(pacer.held() == 0);
    CHECK(pacer.next() == Time::max());
    CHECK(pacer.allowed(5, 255, start + 1s) == 0);
    CHECK(pacer.pass(5, 0, start + 1s));
    pacer.leave(5, start + 1s);
}

TEST_CASE("pacer: one client's rate is not another's") {
    Pacer pacer({100, 255}, {});
    REQUIRE(pacer.enter(0, ip("192.0.2.1"), start));
    REQUIRE(pacer.enter(1, ip("192.0.2.1"), start));
    CHECK(pacer.pass(0, 255, start));
    CHECK_FALSE(pacer.pass(0, 1, start));
    CHECK(pacer.pass(1, 255, start));
}

TEST_CASE("pacer: the clients of a network share its rate, whatever their number; others do not feel it") {
    Pacer pacer({}, networks({1000, 1000}));
    Crowd crowd{pacer, {}, {}};
    for (Pacer::Id id = 0; id < 50; ++id) {
        REQUIRE(pacer.enter(id, ip("192.0.2." + std::to_string(id)), start));
        crowd.sizes[id] = 32;
    }
    REQUIRE(pacer.enter(50, ip("198.51.100.1"), start));
    REQUIRE(pacer.enter(51, ip("2001:db8:0:1::1"), start));
    REQUIRE(pacer.enter(52, ip("2001:db8:0:1:ffff::1"), start)); // the same /64
    REQUIRE(pacer.enter(53, {}, start));                         // local: of no network
    crowd.run(start, start + 60s);
    std::size_t all = 0;
    for (const auto& [id, bytes] : crowd.got) {
        all += bytes;
    }
    CHECK(all <= 61000);
    CHECK(all > 60000);
    CHECK(pacer.allowed(0, 255, start + 60s) == 0);
    CHECK(pacer.allowed(50, 255, start) == 255);
    CHECK(pacer.pass(51, 255, start));
    CHECK(pacer.allowed(52, 255, start) == 255);
    CHECK(pacer.pass(51, 255, start));
    CHECK(pacer.pass(52, 255, start));
    CHECK(pacer.pass(52, 200, start));
    CHECK(pacer.allowed(51, 255, start) == 35);
    CHECK(pacer.allowed(53, 255, start) == 255);
}

TEST_CASE("promise 7: clients that wait for their network's rate share it, however much each asks for") {
    Pacer pacer({}, networks({1000, 255}));
    Crowd crowd{pacer, {{0, 255}, {1, 255}, {2, 64}, {3, 32}, {4, 16}}, {}};
    for (const auto& [id, size] : crowd.sizes) {
        REQUIRE(pacer.enter(id, ip("192.0.2.1"), start));
    }
    crowd.run(start, start + 100s);
    double sum = 0, squares = 0;
    for (const auto& [id, bytes] : crowd.got) {
        sum += static_cast<double>(bytes);
        squares += static_cast<double>(bytes) * static_cast<double>(bytes);
    }
    CHECK(sum > 99000);
    CHECK(sum * sum / (5 * squares) > 0.99); // Jain's index
}

TEST_CASE("pacer: both rates hold together") {
    Pacer pacer({300, 255}, networks({1000, 255}));
    Crowd crowd{pacer, {{0, 100}, {1, 100}}, {}};
    REQUIRE(pacer.enter(0, ip("192.0.2.1"), start));
    REQUIRE(pacer.enter(1, ip("192.0.2.2"), start));
    crowd.run(start, start + 100s);
    for (const Pacer::Id id : {0u, 1u}) { // two have not enough to fill their network's rate
        CHECK(crowd.got[id] <= 30255);
        CHECK(crowd.got[id] >= 29900);
    }
}

TEST_CASE("pacer: one that leaves while it waits is forgotten, and those behind it go on") {
    Pacer pacer({}, networks({100, 255}));
    for (Pacer::Id id = 0; id < 3; ++id) {
        REQUIRE(pacer.enter(id, ip("192.0.2.1"), start));
    }
    CHECK(pacer.pass(0, 255, start));
    pacer.hold(1, 200, start);
    pacer.hold(2, 200, start);
    CHECK(pacer.next() == start + 2s);
    pacer.leave(1, start);
    CHECK(pacer.held() == 1);
    CHECK(pacer.release(start + 2s) == 2);
    CHECK_FALSE(pacer.release(start + 100s));
    CHECK(pacer.next() == Time::max());
    REQUIRE(pacer.enter(1, ip("192.0.2.1"), start + 2s)); // its place is another's now
    CHECK_FALSE(pacer.pass(1, 1, start + 2s));
    pacer.hold(1, 1, start + 2s);
    pacer.leave(1, start + 2s);
    CHECK(pacer.held() == 0);

    Pacer own({100, 255}, {});
    REQUIRE(own.enter(0, {}, start));
    CHECK(own.pass(0, 255, start));
    own.hold(0, 255, start);
    own.leave(0, start);
    CHECK(own.next() == Time::max());
    CHECK(own.held() == 0);
}

TEST_CASE("pacer: who comes back finds its network's bucket as it left it, until that is full") {
    Pacer pacer({}, networks({100, 255}));
    for (int turn = 0; turn < 3; ++turn) {
        REQUIRE(pacer.enter(0, ip("192.0.2.1"), start));
        CHECK(pacer.pass(0, 255, start) == (turn == 0));
        pacer.leave(0, start);
    }
    REQUIRE(pacer.enter(0, ip("192.0.2.200"), start + 2550ms));
    CHECK(pacer.pass(0, 255, start + 2550ms));
}

TEST_CASE("pacer: so many clients of a network at once") {
    Pacer pacer({}, networks({}, 2));
    CHECK(pacer.enter(0, ip("192.0.2.1"), start));
    CHECK(pacer.enter(1, ip("192.0.2.2"), start));
    CHECK_FALSE(pacer.enter(2, ip("192.0.2.3"), start));
    CHECK(pacer.enter(2, ip("192.0.3.3"), start));
    CHECK(pacer.enter(3, {}, start));
    pacer.leave(0, start);
    CHECK(pacer.enter(0, ip("192.0.2.3"), start));
    CHECK_FALSE(pacer.enter(4, ip("192.0.2.3"), start));
    CHECK(pacer.allowed(0, 255, start) == 255); // no rate
    CHECK(pacer.pass(0, 255, start));

    ClientNetworks::Options single = networks({}, 1);
    single.prefix4 = 32;
    single.prefix6 = 48;
    Pacer hosts({}, single);
    CHECK(hosts.enter(0, ip("192.0.2.1"), start));
    CHECK(hosts.enter(1, ip("192.0.2.2"), start));
    CHECK_FALSE(hosts.enter(2, ip("192.0.2.1"), start));
    CHECK(hosts.enter(2, ip("2001:db8:0:1::1"), start));
    CHECK_FALSE(hosts.enter(3, ip("2001:db8:0:2::1"), start));
}

TEST_CASE("promise 8: the memory for networks is bounded, and empty again when all is quiet") {
    const Rate rate{100, 255};
    ClientNetworks table(networks(rate));
    std::vector<ClientNetwork*> there;
    Time now = start;
    for (unsigned i = 0; i < 3 * ClientNetworks::most_remembered; ++i) {
        const IpAddress from = ip("10." + std::to_string(i >> 8) + "." + std::to_string(i & 255) + ".1");
        ClientNetwork* network = table.enter(from, now);
        REQUIRE(network != nullptr);
        network->bucket.take(rate, 255, now);
        if (i % 64 == 0) {
            there.push_back(network);
        } else {
            table.leave(*network, now);
        }
        REQUIRE(table.size() <= ClientNetworks::most_remembered + there.size() + 1);
    }
    CHECK(table.size() == ClientNetworks::most_remembered + there.size());
    now += 3s; // every bucket is full again
    for (ClientNetwork* network : there) {
        table.leave(*network, now);
    }
    CHECK(table.size() == 0);
}
