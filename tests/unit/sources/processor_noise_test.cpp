#include <doctest/doctest.h>

#include <atomic>

#include "ekeyd/sources/processor_noise.h"
#include "ekeyd/sources/processor_noise_source.h"
#include "recording_owner.h"

using namespace ekey;
using test::RecordingOwner;

namespace {

std::atomic<int> alive = 0;

// Counts up; fails from a byte on.
struct Counting final : ProcessorNoise {
    explicit Counting(std::size_t fails_at) : limit(fails_at) { ++alive; }
    ~Counting() override { --alive; }
    Result<void> fill(ByteSpan out) override {
        if (made + out.size() > limit) {
            return fail("the clock stood still");
        }
        for (Byte& byte : out) {
            byte = static_cast<Byte>(made++ % 251);
        }
        return {};
    }
    std::size_t limit, made = 0;
};

ProcessorNoiseSource::Maker counting(std::size_t fails_at = ~std::size_t{0}) {
    return
        [fails_at] { return Result<std::unique_ptr<ProcessorNoise>>(std::make_unique<Counting>(fails_at)); };
}

struct Bench {
    Loop loop;
    RecordingOwner owner{loop};
};

} // namespace

TEST_CASE("processor noise: what the thread makes arrives in its order, and ends with the source") {
    Bench bench;
    {
        ProcessorNoiseSource source(bench.loop, "count:", counting(), 1);
        REQUIRE(source.start(bench.owner, true));
        REQUIRE(bench.owner.wait_until([&] { return bench.owner.samples.size() >= 5000; }));
        CHECK(source.status().ok);
        CHECK(source.status().path == "count:");
    }
    CHECK(alive == 0);
    for (std::size_t i = 0; i < bench.owner.samples.size(); ++i) {
        REQUIRE(bench.owner.samples[i] == i % 251);
    }
}

TEST_CASE("processor noise: paused it rests, after what was made already") {
    Bench bench;
    ProcessorNoiseSource source(bench.loop, "count:", counting(), 1);
    source.pause(true);
    REQUIRE(source.start(bench.owner, true));
    Timer enough(bench.loop);
    enough.bind<&RecordingOwner::give_up>(&bench.owner);
    enough.start(std::chrono::milliseconds(20));
    bench.loop.run();
    CHECK(bench.owner.samples.empty());
    source.pause(false);
    REQUIRE(bench.owner.wait_until([&] { return bench.owner.samples.size() >= 512; }));
}

TEST_CASE("processor noise: its failure is the source's, and a reset begins anew") {
    Bench bench;
    ProcessorNoiseSource source(bench.loop, "count:", counting(1024), 1);
    REQUIRE(source.start(bench.owner, true));
    REQUIRE(bench.owner.wait_until([&] { return !bench.owner.failures.empty(); }));
    CHECK(bench.owner.failures[0].first == health::Failure::device);
    CHECK(bench.owner.failures[0].second == "the clock stood still");
    CHECK(bench.owner.samples.size() == 1024);
    CHECK(source.status().word == "Failed");
    source.reset();
    CHECK(bench.owner.restarts == 2);
    REQUIRE(bench.owner.wait_until([&] { return bench.owner.samples.size() == 2048; }));
}

TEST_CASE("processor noise: a machine that has none is told so, and the source has failed") {
    Bench bench;
    ProcessorNoiseSource source(
        bench.loop, "none:", [] { return Result<std::unique_ptr<ProcessorNoise>>(fail("no clock here")); },
        1);
    REQUIRE(source.start(bench.owner, true));
    REQUIRE(bench.owner.wait_until([&] { return !bench.owner.failures.empty(); }));
    CHECK(bench.owner.failures[0].second == "no clock here");
}

#ifdef EKEYD_HAVEGE
TEST_CASE("havege: it runs here, and no two rounds are alike") {
    Bench bench;
    const auto source = make_havege(bench.loop);
    REQUIRE(source->start(bench.owner, true));
    REQUIRE(bench.owner.wait_until(
        [&] { return bench.owner.samples.size() >= 10240 || !bench.owner.failures.empty(); }));
    CHECK(bench.owner.failures.empty());
    CHECK(std::vector(bench.owner.samples.begin(), bench.owner.samples.begin() + 512) !=
          std::vector(bench.owner.samples.begin() + 512, bench.owner.samples.begin() + 1024));
    CHECK(source->default_min_entropy() <= 1);
}
#endif

#ifdef EKEYD_JITTER
TEST_CASE("jitter: blocks come, and the library's failure is the source's") {
    Bench bench;
    const auto source = make_jitter(bench.loop);
    REQUIRE(source->start(bench.owner, true));
    REQUIRE(bench.owner.wait_until(
        [&] { return bench.owner.samples.size() >= 1024 || !bench.owner.failures.empty(); }));
    CHECK(bench.owner.failures.empty());
}
#endif
