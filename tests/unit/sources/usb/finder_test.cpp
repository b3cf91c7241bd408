// entropykey:usb and its like: what is plugged in becomes a source, once for each device, whatever its
// socket.
#include <doctest/doctest.h>

#include <functional>

#include "ekeyd/pipeline.h"
#include "ekeyd/sources/usb_finder.h"
#include "tests/support/fake_usb.h"

using namespace ekey;
using test::FakeUsb;

namespace {

constexpr usb::Id entropy_key{0x20df, 0x0001}, truerng{0x04d8, 0xf5fe};

struct Found final : FinderOwner {
    std::vector<std::string> addresses;
    void on_found(const Finder&, const std::string& address) override { addresses.push_back(address); }
};

// Runs the loop until the condition holds; false when it does not within 10 seconds.
struct Until {
    Loop& loop;
    std::function<bool()> condition = {};
    int looks_left = 0;
    bool operator()(std::function<bool()> holds) {
        condition = std::move(holds);
        looks_left = 10'000;
        Timer timer(loop);
        timer.bind<&Until::look>(this);
        timer.every(std::chrono::milliseconds(1));
        loop.run();
        return condition();
    }
    void look() {
        if (condition() || --looks_left == 0) {
            loop.stop();
        }
    }
};

FakeUsb* made_usb = nullptr;
Result<std::unique_ptr<usb::Backend>> make_fake(Loop& loop) {
    auto made = std::make_unique<FakeUsb>(loop);
    made_usb = made.get();
    return made;
}

} // namespace

TEST_CASE("finder: devices present and coming are told, by serial where there is one of their own") {
    Loop loop;
    FakeUsb usb(loop);
    Found found;
    usb.plug(entropy_key, "1-1", "NwBvBlg3OTBJORFD");
    usb.plug(truerng, "1-2", "");
    const auto address = *config::parse_address("entropykey:usb,min-entropy=6");
    {
        const UsbFinder finder(loop, usb, entropykey_driver, address, found);
        CHECK(found.addresses.empty()); // from the loop, when privileges have been dropped
        REQUIRE(Until{loop}([&] { return !found.addresses.empty(); }));
        CHECK(found.addresses == std::vector<std::string>{"entropykey:usb:NwBvBlg3OTBJORFD,min-entropy=6"});
        usb.plug(entropy_key, "2-3.4", "");
        CHECK(found.addresses.back() == "entropykey:usb:2-3.4,min-entropy=6");
    }
    usb.plug(entropy_key, "1-5", "pJsZEbdNbsHlxlNl");
    CHECK(found.addresses.size() == 2);
}

TEST_CASE("pipeline: each dongle on USB is one source; moved to another socket it keeps its number") {
    Loop loop;
    Until until{loop};
    Pipeline pipeline(loop, 4096, std::chrono::seconds(10), make_fake);
    const auto number = pipeline.add_configured_source("entropykey:usb");
    REQUIRE(number);
    CHECK(*number == 0);
    CHECK(pipeline.add_configured_source("entropykey:usb")); // again is no error, and finds nothing twice
    REQUIRE(made_usb != nullptr);
    FakeUsb& usb = *made_usb;
    CHECK(pipeline.sources().empty());

    auto& first = usb.plug(entropy_key, "1-1", "NwBvBlg3OTBJORFD");
    usb.plug(entropy_key, "1-2", "pJsZEbdNbsHlxlNl");
    usb.plug(truerng, "1-3", "");
    REQUIRE(until([&] { return pipeline.sources().size() == 2; })); // the finder looks from the loop
    CHECK(pipeline.sources()[0].status.path == "entropykey:usb:NwBvBlg3OTBJORFD");
    CHECK(pipeline.find("entropykey:usb:pJsZEbdNbsHlxlNl"));
    CHECK(first.claimed.size() == 2);

    for (int i = 0; i < 70; ++i) { // more than there are sources at most
        auto& plugged = i == 0 ? first : usb.devices_by_instance.rbegin()->second;
        REQUIRE(until([&] { return plugged.claimed.size() == 2; }));
        usb.unplug(plugged);
        REQUIRE(until([&] { return pipeline.sources()[0].status.word == "Key closed. (Vanished?)"; }));
        auto& moved = usb.plug(entropy_key, "1-" + std::to_string(10 + i), "NwBvBlg3OTBJORFD");
        CHECK(moved.claimed.size() == 2);
    }
    CHECK(pipeline.sources().size() == 2);
    CHECK(pipeline.sources()[0].number == 1);
}

TEST_CASE("pipeline: every dongle of a kind is removed by the address that added them; others stay") {
    Loop loop;
    Until until{loop};
    Pipeline pipeline(loop, 4096, std::chrono::seconds(10), make_fake);
    REQUIRE(pipeline.add_configured_source("entropykey:usb"));
    FakeUsb& usb = *made_usb;
    REQUIRE(pipeline.add_configured_source("entropykey:usb:NwBvBlg3OTBJORFD"));
    usb.plug(entropy_key, "1-1", "NwBvBlg3OTBJORFD");
    auto& second = usb.plug(entropy_key, "1-2", "pJsZEbdNbsHlxlNl");
    REQUIRE(until([&] { return pipeline.sources().size() == 2 && second.claimed.size() == 2; }));
    CHECK_FALSE(pipeline.remove_finder("truerng:usb"));
    CHECK_FALSE(pipeline.remove_finder("entropykey:usb:pJsZEbdNbsHlxlNl"));
    CHECK(pipeline.remove_finder("entropykey:usb"));
    REQUIRE(until([&] { return second.claimed.empty(); }));
    REQUIRE(pipeline.sources().size() == 1);
    CHECK(pipeline.sources()[0].status.path == "entropykey:usb:NwBvBlg3OTBJORFD");
    auto& third = usb.plug(entropy_key, "1-3", "B5A/V1PUTh+uOWIQ");
    CHECK(third.claimed.empty());
    CHECK(pipeline.sources().size() == 1);
    CHECK_FALSE(pipeline.remove_finder("entropykey:usb"));
    REQUIRE(pipeline.add_configured_source("entropykey:usb")); // and again
    REQUIRE(until([&] { return pipeline.sources().size() == 3; }));
}

TEST_CASE(
    "an Entropy Key never gets a control request: SET_CONTROL_LINE_STATE hangs it until it is unplugged") {
    Loop loop;
    Until until{loop};
    Pipeline pipeline(loop, 4096, std::chrono::seconds(10), make_fake);
    REQUIRE(pipeline.add_configured_source("entropykey:usb"));
    auto& key = made_usb->plug(entropy_key, "1-1", "NwBvBlg3OTBJORFD");
    REQUIRE(until([&] { return !key.written.empty(); })); // past the draining: the session begins
    CHECK(std::string(key.written.begin(), key.written.end()) == "\x03");
    CHECK(pipeline.reset_source(1));
    CHECK(pipeline.remove_source(1));
    REQUIRE(until([&] { return key.claimed.empty(); }));
    CHECK(key.controls.empty());
}

TEST_CASE("pipeline: a dongle that cannot be opened is waited for, and is no end of anything") {
    Loop loop;
    Until until{loop};
    Pipeline pipeline(loop, 4096, std::chrono::seconds(10), make_fake);
    REQUIRE(pipeline.add_configured_source("truerng:usb,min-entropy=2"));
    auto& dongle = made_usb->plug(truerng, "1-1", "", {});
    REQUIRE(until([&] { return pipeline.sources().size() == 1; }));
    CHECK(pipeline.sources()[0].status.path == "truerng:usb:1-1");
    CHECK_FALSE(pipeline.sources()[0].status.ok);
    CHECK(dongle.claimed.empty());
    CHECK_FALSE(pipeline.add_configured_source("truerng:usb,min-entropy=12"));
}

TEST_CASE("pipeline: where USB cannot be used, that is said, and nothing else is lost") {
    Loop loop;
    Pipeline pipeline(loop, 4096, std::chrono::seconds(10),
                      [](Loop&) -> Result<std::unique_ptr<usb::Backend>> { return fail("no USB here"); });
    const auto added = pipeline.add_configured_source("entropykey:usb");
    REQUIRE_FALSE(added);
    CHECK(added.error().what == "no USB here");
}
