// An upstream source on a sealed listener, in one loop: how old a link gets.
#include "ekeyd/sources/upstream_source.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <sys/socket.h>

#include "ekeyd/listeners/sealed_listener.h"
#include "tests/support/run_until.h"
#include "tests/unit/protocol/sealed/parts.h"
#include "tests/unit/sources/recording_owner.h"

using namespace ekey;
using namespace ekey::test;
using namespace std::chrono_literals;

namespace {

struct Folder {
    std::string path = "/tmp/upstream-test-XXXXXX";
    Folder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
    ~Folder() { std::filesystem::remove_all(path); }
};

struct Home {
    Home() : feeder(loop), noise(1 << 16) {
        std::ofstream(folder.path + "/peers") << sealed::encode_key(client.keys().public_key) << " slice-1\n";
        auto made = make_listener(
            loop, pool, *config::parse_address("sealed:127.0.0.1:0,peers=" + folder.path + "/peers"), nullptr,
            [this] { return Result<SealedNode*>(&node); });
        REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().what));
        listener = std::move(*made);
        const Byte seed[randombytes_SEEDBYTES]{};
        randombytes_buf_deterministic(noise.data(), noise.size(), seed);
        feeder.bind<&Home::feed>(this);
    }
    SealedListener& sealed_listener() { return static_cast<SealedListener&>(*listener); }
    UpstreamSource::Options upstream() {
        const std::string where = "tcp:" + listener->bound_address().substr(7);
        UpstreamSource::Options options;
        options.where = *config::parse_address(where);
        options.path = where;
        options.server = node.keys().public_key;
        options.node = &client;
        return options;
    }
    // As much as the pool has room for, so that nothing of it is dropped.
    void feed() {
        const std::size_t piece = std::min<std::size_t>(255, noise.size() - fed);
        if (pool.room() >= piece) {
            pool.put(ByteView(noise).subspan(fed, piece));
            fed += piece;
            pool.serve();
        }
    }
    std::string statistic(const UpstreamSource& source, std::string_view name) {
        Statistics all;
        source.add_statistics(all);
        const auto found =
            std::find_if(all.begin(), all.end(), [&](const auto& s) { return s.first == name; });
        return found == all.end() ? "" : found->second;
    }

    Folder folder;
    Loop loop;
    Pool pool{4096};
    SealedNode node{*config::Identity::create(folder.path + "/home")};
    SealedNode client{*config::Identity::create(folder.path + "/slice")};
    std::unique_ptr<Listener> listener;
    Timer feeder;
    std::vector<Byte> noise;
    std::size_t fed = 0;
};

} // namespace

TEST_CASE_FIXTURE(Home,
                  "a link that is old is replaced by a new one: the session goes on and no byte is lost") {
    auto options = upstream();
    CHECK(options.renew_after == 10min);
    options.renew_after = 50ms;
    UpstreamSource source(loop, std::move(options));
    RecordingOwner owner(loop);
    feeder.every(2ms);
    REQUIRE(source.start(owner, false));
    REQUIRE(RunUntil::holds(
        loop, [&] { return std::stoi(statistic(source, "Sessions")) >= 4; }, 60s));
    const std::size_t before = owner.samples.size();
    REQUIRE(RunUntil::holds(
        loop, [&] { return owner.samples.size() > before; }, 60s));
    CHECK(owner.restarts == 1);
    CHECK(owner.failures.empty());
    CHECK(listener->counters().accepted >= 4);
    CHECK(owner.samples == std::vector(noise.begin(), noise.begin() + std::ptrdiff_t(owner.samples.size())));
}

TEST_CASE_FIXTURE(Home, "a listener ends a link after twenty minutes although nothing comes over it") {
    UpstreamSource source(loop, upstream());
    RecordingOwner owner(loop);
    REQUIRE(source.start(owner, false));
    REQUIRE(RunUntil::holds(
        loop, [&] { return listener->counters().clients == 1; }, 60s));
    const Time now = Loop::now();
    sealed_listener().end_old(now + 20min - 60s);
    CHECK(listener->counters().clients == 1);
    sealed_listener().end_old(now + 20min);
    CHECK(listener->counters().clients == 0);
    REQUIRE(RunUntil::holds(
        loop, [&] { return !owner.failures.empty(); }, 60s));
    CHECK(owner.failures.front().second.find("the server closed the connection") != std::string::npos);
    CHECK(RunUntil::holds(
        loop, [&] { return listener->counters().clients == 1; }, 60s)); // it comes again
}

TEST_CASE("a seal reads nothing any more once its link is twenty minutes old") {
    OpenLink link;
    link.responder.receive(link.opening());
    link.client.receive(link.answer(link.server_hello()), link.now, link.scratch);
    Seal::Transports transports;
    Seal seal(transports.make(link.responder.transport(link.now)), link.client_keys.public_key, {}, {});
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    const Fd near(ends[0]), far(ends[1]);
    const auto request = [&] {
        const Bytes message = ekey::test::seal(link.client, bytes_of("\x02\x20"));
        REQUIRE(::send(far.get(), message.data(), message.size(), 0) == ssize_t(message.size()));
    };
    std::array<Byte, 16> into;
    request();
    CHECK_FALSE(seal.is_old(link.now + 20min - 1ns));
    CHECK(seal.read(near.get(), into, link.now + 20min - 1ns) == 2);
    request();
    CHECK(seal.is_old(link.now + 20min));
    CHECK(seal.read(near.get(), into, link.now + 20min) == 0);
}
