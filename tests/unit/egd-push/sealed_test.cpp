// Sealed upstreams, and quorums of them.
#include "sealed_server.h"

#include <algorithm>
#include <numeric>

#include "server.h"
#include "session_fixture.h"

using namespace ekey;
using namespace std::chrono_literals;
using test::SealedServer;

namespace {
struct Fixture : test::SessionFixture {
    Fixture() {
        options.from.clear();
        self = &own;
    }
    void from(const SealedServer& server) { from_address(server.address()); }
    const sealed::KeyPair own = test::key_of(1);
};
} // namespace

TEST_CASE_FIXTURE(Fixture, "sealed: what the server seals is pushed, over one link, and credited") {
    SealedServer server(loop, 2);
    from(server);
    options.bytes = 1000;
    start();
    CHECK(pushes(3));
    CHECK(server.connections == 1);
    CHECK(server.client == own.public_key);
    CHECK(std::vector(server.asked.begin(), server.asked.begin() + 4) ==
          std::vector<std::size_t>{255, 255, 255, 235});
    CHECK(destination.credits.at(0) == 4000);
    std::string expected;
    for (unsigned i = 1; i <= 3000; ++i) {
        expected += static_cast<char>(i * 3);
    }
    CHECK(destination.pushes.at(0) + destination.pushes.at(1) + destination.pushes.at(2) == expected);
}

TEST_CASE_FIXTURE(Fixture, "sealed: a server with another key is believed nothing") {
    SealedServer server(loop, 2);
    from_address("sealed:127.0.0.1:" + std::to_string(server.port) +
                 ",key=" + sealed::encode_key(test::key_of(3).public_key));
    options.once = true;
    start();
    CHECK(ends());
    CHECK(!*finished);
    CHECK(server.connections == 1);
    CHECK(server.asked.empty());
}

TEST_CASE_FIXTURE(Fixture, "sealed: a server that does not know this host closes, and is tried again") {
    SealedServer server(loop, 2);
    from(server);
    server.knows_client = false;
    start();
    CHECK(until([&] { return server.connections >= 2; }));
    CHECK(destination.pushes.empty());
    server.knows_client = true;
    CHECK(pushes(1));
}

TEST_CASE_FIXTURE(Fixture, "sealed: an altered, shortened, repeated or unsealed answer gives nothing") {
    SealedServer server(loop, 2);
    from(server);
    std::size_t altered = 0;
    SUBCASE("one bit") {
        server.alter = [&](std::vector<Byte>& m) {
            m[10] ^= 1;
            ++altered;
        };
    }
    SUBCASE("its length") {
        server.alter = [&](std::vector<Byte>& m) {
            m[1] ^= 1;
            m.resize(m.size() + 1);
            ++altered;
        };
    }
    SUBCASE("another message") {
        server.alter = [&, first = std::vector<Byte>()](std::vector<Byte>& m) mutable {
            std::swap(first, m); // the second time, the first message of an earlier link
            ++altered;
        };
        options.timeout = 200ms;
    }
    SUBCASE("in clear") {
        server.alter = [&](std::vector<Byte>& m) {
            m.assign(64, 'c');
            ++altered;
        };
        options.timeout = 200ms;
    }
    start();
    CHECK(until([&] { return altered >= 2; }));
    CHECK(destination.pushes.empty());
    server.alter = [](auto&) {};
    CHECK(pushes(1));
    CHECK(destination.pushes.at(0).find(std::string(64, 'c')) == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "sealed: a server may advise less credit, and not more") {
    SealedServer server(loop, 2);
    from(server);
    options.once = true;
    for (const auto& [advice, credit] :
         std::vector<std::pair<unsigned, unsigned>>{{0, 0}, {1, 64}, {8, 256}}) {
        server.hello.credit = static_cast<Byte>(advice);
        start();
        CHECK(ends());
        CHECK(destination.credits.back() == credit);
        finished.reset();
    }
}

TEST_CASE_FIXTURE(Fixture,
                  "sealed: a link that its server ends between pushes is opened anew for the next one") {
    SealedServer server(loop, 2);
    from(server);
    options.interval = 200ms;
    start();
    CHECK(pushes(1));
    server.close_clients();
    CHECK(pushes(2));
    CHECK(server.connections == 2);
}

TEST_CASE_FIXTURE(
    Fixture, "quorum: nothing is credited before so many sealed servers have contributed; all is mixed") {
    SealedServer a(loop, 2), same(loop, 2), b(loop, 3);
    test::Server local(loop, path("local"));
    from_address("unix:" + path("local"));
    from(a);
    from(same);
    from(b);
    options.quorum = 2;
    options.interval = 1h;
    b.answer = [](std::size_t) { return ""; }; // not yet
    start();
    CHECK(pushes(3));
    CHECK(destination.credits == std::vector<unsigned>{0, 0, 0});
    CHECK(until([&] { return !b.asked.empty(); }));
    b.answer = [](std::size_t n) { return std::string(n - 1, 'b') + '!'; };
    session->push_soon(); // the others again; b is still being waited for
    b.close_clients();
    CHECK(until([&] {
        return std::count_if(destination.credits.begin(), destination.credits.end(),
                             [](unsigned c) { return c > 0; }) > 0;
    }));
    // It is b's that completes it, or the next of a's after it.
    CHECK(std::accumulate(destination.credits.begin(), destination.credits.end(), 0u) == 256);
}

TEST_CASE_FIXTURE(Fixture, "quorum: a file's mixture is worth what its least contributor is, or nothing") {
    SealedServer a(loop, 2), b(loop, 3);
    from(a);
    from(b);
    destination.kernel = false;
    options.once = true;
    options.quorum = 2;
    start();
    CHECK(ends());
    CHECK(destination.credits == std::vector<unsigned>{256});
    b.knows_client = false;
    finished.reset();
    start();
    CHECK(ends());
    CHECK(*finished);
    CHECK(destination.credits == std::vector<unsigned>{256, 0});
}
