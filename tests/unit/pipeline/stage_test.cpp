#include <doctest/doctest.h>

#include <vector>

#include "ekeyd/stage.h"
#include "scripted_source.h"
#include "tests/support/run_until.h"

using namespace ekey;
using test::ScriptedSource;

namespace {

using Bytes = std::vector<Byte>;

Bytes noise(std::size_t size) {
    Bytes bytes(size);
    randombytes_buf(bytes.data(), bytes.size());
    return bytes;
}

struct Outlet final : StageOutlet {
    Bytes released;
    int failures = 0;
    Loop* stop_on_failure = nullptr;
    void on_released(const Stage&, ByteView block) override {
        released.insert(released.end(), block.begin(), block.end());
    }
    void on_stage_failed(const Stage&) override {
        ++failures;
        if (stop_on_failure != nullptr) {
            stop_on_failure->stop();
        }
    }
};

struct Receiver final : control::CaptureReceiver {
    Bytes captured;
    std::string ended;
    void on_captured(ByteView raw) override { captured.insert(captured.end(), raw.begin(), raw.end()); }
    void on_capture_ended(std::string why) override { ended = std::move(why); }
};

struct Bench {
    Loop loop;
    Outlet outlet;
    ScriptedSource::Record source;
    Stage stage;

    explicit Bench(Duration silence = std::chrono::hours(1), double min_entropy = 7.0)
        : stage(loop, {3, 0, "device:/dev/scripted"}, std::make_unique<ScriptedSource>(source),
                {min_entropy, true}, silence, outlet) {
        REQUIRE(stage.start(false));
    }
    void send(const Bytes& bytes) { source.owner->on_samples(bytes); }
    std::string health(std::string_view name) const {
        for (const auto& [key, value] : stage.health()) {
            if (key == name) {
                return value;
            }
        }
        return "(no " + std::string(name) + ")";
    }
};

} // namespace

TEST_CASE("promise 1: no byte of a block leaves before the whole block has passed") {
    Bench bench;
    const Bytes block = noise(health::block_size);
    bench.send(Bytes(block.begin(), block.end() - 1));
    CHECK(bench.outlet.released.empty());
    CHECK(bench.stage.status().word == "Startup test");
    bench.send(Bytes(block.end() - 1, block.end()));
    CHECK(bench.outlet.released == block);
    CHECK(bench.stage.status().word == "Running OK");
    CHECK(bench.stage.status().ok);
}

TEST_CASE("promise 1: a source that sticks releases nothing of the block it sticks in, and says so") {
    Bench bench;
    bench.send(noise(health::block_size));
    const Bytes before = bench.outlet.released;
    bench.send(noise(1000));
    bench.send(Bytes(64, 0)); // 64 equal bytes
    bench.send(noise(10000));
    CHECK(bench.outlet.released == before);
    CHECK(bench.outlet.failures == 1);
    CHECK(bench.health("State") == "failed");
    CHECK(bench.health("Failure") == health::name(health::Failure::repetition));
    CHECK(bench.stage.status().word == "Health test failed");
    CHECK_FALSE(bench.stage.status().ok);
}

TEST_CASE("promise 1: a device's own failure report throws away what is in flight") {
    Bench bench;
    bench.send(noise(2400));
    bench.source.owner->on_failure(health::Failure::device, "the device reports: voltage too low");
    bench.send(noise(5000));
    CHECK(bench.outlet.released.empty());
    CHECK(bench.outlet.failures == 1);
    CHECK(bench.health("Detail") == "the device reports: voltage too low");

    bench.source.owner->on_restart(); // power-cycled
    const Bytes block = noise(health::block_size);
    bench.send(block);
    CHECK(bench.outlet.released == block);
}

TEST_CASE("promise 1: a source that goes silent has failed, and begins anew when it speaks again") {
    Bench bench(std::chrono::milliseconds(40));
    bench.outlet.stop_on_failure = &bench.loop;
    bench.send(noise(2400));
    bench.loop.run();
    CHECK(bench.health("Failure") == health::name(health::Failure::silence));
    CHECK(bench.stage.status().word == "Silent");
    const Bytes block = noise(health::block_size);
    bench.send(block);
    CHECK(bench.outlet.released == block); // and not the 2,400 bytes from before
}

TEST_CASE(
    "promise 1: a source that gives nothing is found silent though others fill the pool again and again") {
    Bench bench(std::chrono::milliseconds(40));
    bench.outlet.stop_on_failure = &bench.loop;
    struct Pauser {
        Stage& stage;
        bool on = false;
        void turn() { stage.pause(on = !on); }
    } pauser{bench.stage};
    Timer timer(bench.loop);
    timer.bind<&Pauser::turn>(&pauser);
    timer.every(std::chrono::milliseconds(1));
    bench.loop.run();
    CHECK(bench.health("Failure") == health::name(health::Failure::silence));
}

TEST_CASE("a source is paused once it has passed its startup test, and its silence then is not counted") {
    Bench bench(std::chrono::milliseconds(40));
    bench.stage.pause(true);
    CHECK_FALSE(bench.source.paused);
    bench.send(noise(100));
    CHECK_FALSE(bench.source.paused);
    bench.send(noise(health::block_size - 100));
    CHECK(bench.source.paused);
    Timer later(bench.loop);
    later.bind<&Loop::stop>(&bench.loop);
    later.start(std::chrono::milliseconds(120));
    bench.loop.run();
    CHECK(bench.health("Failure") == health::name(health::Failure::none));
    bench.stage.pause(false);
    CHECK_FALSE(bench.source.paused);
}

TEST_CASE("promise 5: a source without credit, which can fill no pool, is heard 4 KiB a second and no more") {
    Bench bench(std::chrono::hours(1), 0.0);
    bench.send(noise(4000));
    CHECK_FALSE(bench.source.paused);
    bench.send(noise(96));
    CHECK(bench.source.paused);
    bench.stage.pause(false); // the pool wants more, and would for ever
    CHECK(bench.source.paused);
    CHECK(RunUntil::holds(bench.loop, [&] { return !bench.source.paused; }));
    bench.send(noise(4096));
    CHECK(bench.source.paused);
    bench.stage.pause(true);
    Timer later(bench.loop);
    later.bind<&Loop::stop>(&bench.loop);
    later.start(std::chrono::milliseconds(1200));
    bench.loop.run();
    CHECK(bench.source.paused); // a full pool comes first
    bench.stage.pause(false);
    CHECK_FALSE(bench.source.paused);
}

TEST_CASE("failed noise is not retried by a mere new session, but by reset") {
    Bench bench;
    bench.send(Bytes(64, 7));
    bench.source.owner->on_restart();
    bench.send(noise(health::block_size));
    CHECK(bench.outlet.released.empty());
    bench.stage.reset();
    CHECK(bench.source.resets == 1);
    bench.send(noise(health::block_size));
    CHECK(bench.outlet.released.size() == health::block_size);
}

TEST_CASE("a capture gets exactly the bytes it asked for, and they never reach the pool") {
    Bench bench;
    Receiver receiver;
    REQUIRE(bench.stage.begin_capture(1000, receiver));
    CHECK_FALSE(bench.stage.begin_capture(1, receiver)); // one at a time
    const Bytes bytes = noise(1000 + health::block_size);
    bench.send(Bytes(bytes.begin(), bytes.begin() + 300));
    bench.send(Bytes(bytes.begin() + 300, bytes.end()));
    CHECK(receiver.captured == Bytes(bytes.begin(), bytes.begin() + 1000));
    CHECK(bench.outlet.released == Bytes(bytes.begin() + 1000, bytes.end()));
    CHECK(receiver.ended.empty());
}

TEST_CASE("a capture hears when its source is removed, and nothing once it has ended itself") {
    Receiver cut_off, left;
    {
        Bench bench;
        REQUIRE(bench.stage.begin_capture(10, cut_off));
        bench.stage.end_capture(left); // of another: no effect
    }
    CHECK(cut_off.ended == "the source was removed");
    {
        Bench bench;
        REQUIRE(bench.stage.begin_capture(10, left));
        bench.stage.end_capture(left);
        bench.send(noise(10));
    }
    CHECK(left.ended.empty());
    CHECK(left.captured.empty());
}

TEST_CASE("a number, a serial, a path or the address names a stage") {
    Bench bench;
    for (const char* id : {"3", "U0VSSUFMU0VSSUFM", "/dev/scripted", "device:/dev/scripted"}) {
        CHECK(bench.stage.is(id));
    }
    for (const char* id : {"", "03", "2", "/dev/script", "U0VSSUFM"}) {
        CHECK_FALSE(bench.stage.is(id));
    }
}
