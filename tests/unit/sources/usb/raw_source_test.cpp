// The dongles that just send noise, each against a fake of its USB side.
#include <doctest/doctest.h>

#include "ekeyd/sources/registry.h"
#include "tests/support/fake_usb.h"
#include "tests/unit/sources/recording_owner.h"

using namespace ekey;
using test::FakeDevice;
using test::FakeUsb;

namespace {

struct Bench {
    Loop loop;
    FakeUsb usb{loop};
    test::RecordingOwner owner{loop};
    std::unique_ptr<Source> source;

    void start(const char* address) {
        auto made =
            make_source(*config::parse_address(address), {loop, [](const auto&) { return nullptr; },
                                                          [this] { return Result<usb::Backend*>(&usb); }});
        REQUIRE(made);
        source = std::move(*made);
        REQUIRE(source->start(owner, true));
    }
    // The loop stops when the owner is told something; a tick makes it look at the fake, too.
    template <class Condition>
    bool wait_until(Condition condition) {
        tick.bind<&Bench::look>(this);
        tick.every(std::chrono::milliseconds(1));
        const bool came = owner.wait_until(condition);
        tick.stop();
        return came;
    }
    void look() { owner.check(); }
    Timer tick{loop};
};

std::vector<Byte> bytes(std::size_t count, Byte value) {
    return std::vector<Byte>(count, value);
}

std::string written(const FakeDevice& device) {
    return {device.written.begin(), device.written.end()};
}

std::vector<usb::Interface> vendor_bulk() {
    return {{0, 0xff, {{0x86, 64, true}, {0x85, 64, true}}}};
}

} // namespace

TEST_CASE("onerng: DTR and the commands start it, and its first 10 KiB are thrown away") {
    Bench bench;
    FakeDevice& dongle = bench.usb.plug({0x1d50, 0x6086}, "1-1", "00");
    bench.start("onerng:usb:1-1");
    REQUIRE(bench.wait_until([&] { return dongle.written.size() == 10; }));
    CHECK(written(dongle) == "cmd0\ncmdO\n");
    REQUIRE(dongle.controls.size() == 1);
    CHECK(dongle.controls[0].request == 0x22); // SET_CONTROL_LINE_STATE
    CHECK(dongle.controls[0].value == 1);      // DTR
    CHECK(bench.source->status().word == "No answer");
    for (int i = 0; i < 160; ++i) {
        bench.usb.send(dongle, bytes(64, 1));
    }
    bench.usb.send(dongle, bytes(64, 2));
    REQUIRE(bench.wait_until([&] { return bench.owner.samples.size() >= 64; }));
    CHECK(bench.owner.samples == bytes(64, 2));
    CHECK(bench.source->status().word == "Running OK");
    CHECK(bench.source->status().serial.empty()); // "00" is no serial number
    CHECK(bench.source->default_min_entropy() < 7.5);
}

TEST_CASE("truerng: DTR starts v1 to v3; a Pro is knocked into its normal mode first") {
    Bench bench;
    SUBCASE("v3") {
        FakeDevice& dongle = bench.usb.plug({0x04d8, 0xf5fe}, "1-1", "");
        bench.start("truerng:usb:1-1");
        REQUIRE(bench.wait_until([&] { return dongle.most_reads_in_flight >= 2; }));
        REQUIRE(dongle.controls.size() == 1);
        CHECK(dongle.controls[0].value == 1);
    }
    SUBCASE("Pro V2") {
        FakeDevice& dongle = bench.usb.plug({0x04d8, 0xebb5}, "1-1", "");
        bench.start("truerng:usb:1-1");
        REQUIRE(bench.wait_until([&] { return dongle.most_reads_in_flight >= 2; }));
        // The vendor's programs: open and close at 110, 300 and 110 baud, open at the mode's.
        std::string knock;
        for (const auto& request : dongle.controls) {
            knock += request.request == 0x20
                         ? std::to_string(request.data.at(0) + 256 * request.data.at(1)) + " "
                         : (request.value == 1 ? "open " : "close ");
        }
        CHECK(knock == "110 open close 300 open close 110 open close 300 open ");
    }
    FakeDevice& any = bench.usb.devices_by_instance.begin()->second;
    REQUIRE(bench.wait_until([&] { // past the draining
        if (bench.owner.samples.empty()) {
            bench.usb.send(any, bytes(32, 7));
        }
        return !bench.owner.samples.empty();
    }));
    CHECK(bench.owner.samples.front() == 7);
    CHECK(any.written.empty());
}

TEST_CASE("chaoskey, alea: the cooked endpoint of the vendor interface is read, with no request before") {
    for (const auto& [address, id] : {std::pair{"chaoskey:usb:CK1", usb::Id{0x1d50, 0x60c6}},
                                      std::pair{"alea:usb:CK1", usb::Id{0x12d8, 0x0001}}}) {
        Bench bench;
        FakeDevice& dongle = bench.usb.plug(id, "1-1", "CK1", vendor_bulk());
        bench.start(address);
        REQUIRE(bench.wait_until([&] { return dongle.most_reads_in_flight >= 2; }));
        for (const auto* transfer : bench.usb.flying) {
            CHECK(transfer->endpoint == 0x85);
        }
        REQUIRE(bench.wait_until([&] {
            if (bench.owner.samples.empty()) {
                bench.usb.send(dongle, bytes(64, 9));
            }
            return bench.owner.samples.size() >= 64;
        }));
        CHECK(dongle.controls.empty());
        CHECK(dongle.log == std::vector<std::string>{"claim 0"});
        CHECK(bench.source->status().serial == "CK1");
    }
}

TEST_CASE("raw dongles: one pulled out has failed, is opened again when it is back, and its totals go on") {
    Bench bench;
    FakeDevice& first = bench.usb.plug({0x1d50, 0x60c6}, "1-1", "CK1", vendor_bulk());
    bench.start("chaoskey:usb:CK1");
    const auto feed = [&bench](FakeDevice& device) {
        return bench.wait_until([&bench, &device] {
            bench.usb.send(device, bytes(64, 9));
            return bench.source->status().ok && bench.owner.samples.size() >= 64;
        });
    };
    REQUIRE(feed(first));
    bench.usb.unplug(first);
    REQUIRE(bench.wait_until([&] { return !bench.owner.failures.empty(); }));
    CHECK(bench.owner.failures[0].first == health::Failure::silence);
    CHECK(bench.owner.failures[0].second == "the device is gone: unplugged");
    CHECK(bench.source->status().word == "Key closed. (Vanished?)");
    bench.owner.samples.clear();
    FakeDevice& second = bench.usb.plug({0x1d50, 0x60c6}, "1-7", "CK1", vendor_bulk()); // in another socket
    bench.source->reset();
    CHECK(bench.owner.restarts == 2);
    REQUIRE(feed(second));
    Statistics statistics;
    bench.source->add_statistics(statistics);
    const auto figure = [&](const char* name) {
        for (const auto& [key, value] : statistics) {
            if (key == name) {
                return std::stoull(value);
            }
        }
        return 0ULL;
    };
    CHECK(figure("Sessions") == 2);
    CHECK(figure("AllSessionsBytesRead") >= figure("BytesRead") + 64);
}

TEST_CASE("raw dongles: paused, it is not read; going on is no new start") {
    Bench bench;
    FakeDevice& dongle = bench.usb.plug({0x1d50, 0x60c6}, "1-1", "CK1", vendor_bulk());
    bench.start("chaoskey:usb:CK1");
    REQUIRE(bench.wait_until([&] {
        bench.usb.send(dongle, bytes(8, 9));
        return !bench.owner.samples.empty();
    }));
    bench.source->pause(true);
    for (int i = 0; i < 10; ++i) {
        bench.usb.send(dongle, bytes(8, 9));
    }
    REQUIRE(bench.wait_until([&] { return bench.usb.flying.empty(); }));
    CHECK_FALSE(dongle.to_send.empty());
    bench.source->pause(false);
    REQUIRE(bench.wait_until([&] { return dongle.to_send.empty(); }));
    CHECK(bench.owner.restarts == 1);
}
