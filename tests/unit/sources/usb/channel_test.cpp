#include <doctest/doctest.h>

#include <optional>

#include "ekeyd/sources/usb/channel.h"
#include "ekeyd/sources/usb/usb_link.h"
#include "tests/support/fake_usb.h"

using namespace ekey;
using test::FakeDevice;
using test::FakeUsb;

namespace {

constexpr usb::Id entropy_key{0x20df, 0x0001};

usb::Plan quick_plan() {
    usb::Plan plan;
    plan.drain_quiet = std::chrono::milliseconds(2);
    plan.drain_limit = std::chrono::milliseconds(20);
    return plan;
}

struct Bench final : LinkOwner {
    Loop loop;
    FakeUsb usb{loop};
    std::unique_ptr<Link> link;
    std::string got, lost;
    int writable = 0;
    bool drop_link_on_bytes = false;
    std::function<bool()> awaited;
    Timer check{loop};

    Bench() { check.bind<&Bench::look>(this); }

    Result<void> open(usb::Plan plan = quick_plan(), const std::string& name = "") {
        static usb::Plan used;
        used = std::move(plan);
        auto opened = usb::UsbLink::open(
            loop, usb, {{entropy_key}, name, "Entropy Key"}, [](usb::Id) { return used; }, *this);
        if (!opened) {
            return tl::unexpected(opened.error());
        }
        link = std::move(*opened);
        return {};
    }
    // Opens and waits until what is sent is delivered.
    void open_and_drain(usb::Plan plan = quick_plan()) {
        REQUIRE(open(std::move(plan)));
        CHECK(link->write(as_bytes("")) == 0);
        const int before = writable;
        REQUIRE(link->write(as_bytes("x")) == 0); // held
        REQUIRE(wait_until([&] { return writable > before; }));
    }
    bool wait_until(std::function<bool()> condition) {
        awaited = std::move(condition);
        const Time end = Loop::now() + std::chrono::seconds(10);
        while (!awaited() && Loop::now() < end) {
            check.start(std::chrono::milliseconds(1));
            loop.run();
        }
        return awaited();
    }
    void look() { loop.stop(); }

    void on_bytes(ByteView bytes) override {
        got += as_text(bytes);
        if (drop_link_on_bytes) {
            link.reset();
        }
    }
    void on_writable() override { ++writable; }
    void on_lost(const std::string& why) override { lost = why; }
};

ByteView packet(const std::string& text) {
    return as_bytes(text);
}

} // namespace

TEST_CASE("usb: several reads are in flight, and what comes is delivered in its order") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    bench.open_and_drain();
    CHECK(key.most_reads_in_flight >= 2);
    std::string sent;
    for (int i = 0; i < 100; ++i) {
        const std::string text(static_cast<std::size_t>(i % 65),
                               static_cast<char>('!' + i % 90)); // empty ones, too
        bench.usb.send(key, packet(text));
        sent += text;
    }
    REQUIRE(bench.wait_until([&] { return bench.got.size() == sent.size(); }));
    CHECK(bench.got == sent);
    CHECK(bench.lost.empty());
}

TEST_CASE("usb: what the device sent before is thrown away, and nothing is written until that is done") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    for (int i = 0; i < 20; ++i) {
        bench.usb.send(key, packet("stale"));
    }
    REQUIRE(bench.open());
    CHECK(bench.link->write(as_bytes("\x03")) == 0);
    REQUIRE(bench.wait_until([&] { return bench.writable == 1; }));
    CHECK(key.to_send.empty());
    CHECK(bench.got.empty());
    CHECK(key.written.empty());
    CHECK(bench.link->write(as_bytes("\x03")) == 1);
    REQUIRE(bench.wait_until([&] { return key.written.size() == 1; }));
    bench.usb.send(key, packet("fresh"));
    REQUIRE(bench.wait_until([&] { return bench.got == "fresh"; }));
}

TEST_CASE("usb: a device that is never quiet is drained for a limited time") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    REQUIRE(bench.open());
    CHECK(bench.link->write(as_bytes("r")) == 0);
    const Time begin = Loop::now();
    REQUIRE(bench.wait_until([&] {
        bench.usb.send(key, packet("noise"));
        return bench.writable == 1;
    }));
    CHECK(Loop::now() - begin < std::chrono::seconds(2));
}

TEST_CASE("usb: a write that the device takes in parts goes out whole and once") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    key.takes_at_once = 5;
    bench.open_and_drain();
    const std::string text = "K0123456789abcdef.";
    CHECK(bench.link->write(as_bytes(text)) == text.size());
    CHECK(bench.link->write(as_bytes("more")) == 0); // one at a time
    const int before = bench.writable;
    REQUIRE(bench.wait_until([&] { return bench.writable > before; }));
    CHECK(std::string(key.written.begin(), key.written.end()) == text);
    const std::string large(2000, 'y');
    CHECK(bench.link->write(as_bytes(large)) == 512);
}

TEST_CASE(
    "usb: an Entropy Key's plan sends no control request; others' go out in their order before reading") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    bench.open_and_drain();
    CHECK(key.controls.empty());
    bench.link.reset();
    REQUIRE(bench.wait_until([&] { return bench.usb.open_devices == 0; }));
    usb::Plan plan = quick_plan();
    plan.opening = {usb::set_line_coding(110), usb::set_dtr(true)};
    bench.open_and_drain(plan);
    REQUIRE(key.controls.size() == 2);
    // CDC-PSTN 1.2, tables 17 and 18: 110 baud, 1 stop bit, no parity, 8 data bits; DTR is bit 0.
    CHECK(key.controls[0].type == 0x21);
    CHECK(key.controls[0].request == 0x20);
    CHECK(key.controls[0].data == std::vector<Byte>{110, 0, 0, 0, 0, 0, 8});
    CHECK(key.controls[1].request == 0x22);
    CHECK(key.controls[1].value == 1);
    CHECK(key.controls[1].index == 0);
}

TEST_CASE("usb: a stall is cleared with nothing in flight, and the flow goes on") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    bench.open_and_drain();
    SUBCASE("of reads") {
        key.stalls_in = 1;
        bench.usb.go_on();
        REQUIRE(bench.wait_until([&] { return key.log.back() == "clear 129"; }));
        CHECK(bench.link->condition() == "Stalled"); // until a read has worked
        bench.usb.send(key, packet("after"));
        REQUIRE(bench.wait_until([&] { return bench.got == "after"; }));
        CHECK(bench.link->condition().empty());
    }
    SUBCASE("of a write, which is then sent whole") {
        key.stalls_out = 1;
        CHECK(bench.link->write(as_bytes("hello")) == 5);
        REQUIRE(bench.wait_until([&] { return key.written.size() == 5; }));
        CHECK(std::count(key.log.begin(), key.log.end(), "clear 3") == 1);
    }
    CHECK(bench.lost.empty());
}

TEST_CASE("usb: a device that stalls or fails every read is given up, with the reason") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    bench.open_and_drain();
    SUBCASE("stalls") {
        key.stalls_in = 1000;
        bench.usb.go_on();
        REQUIRE(bench.wait_until([&] { return !bench.lost.empty(); }));
        CHECK(bench.lost == "it stalls every transfer");
        CHECK(bench.link->condition() == "Stalled");
    }
    SUBCASE("a stall that cannot be cleared") {
        key.stalls_in = 1;
        key.clear_works = false;
        bench.usb.go_on();
        REQUIRE(bench.wait_until([&] { return !bench.lost.empty(); }));
        CHECK(bench.lost == "its stall cannot be cleared");
        CHECK(bench.link->condition() == "Stalled");
    }
    SUBCASE("failures") {
        key.failures_in = 1000;
        bench.usb.go_on();
        REQUIRE(bench.wait_until([&] { return !bench.lost.empty(); }));
        CHECK(bench.lost == "USB transfers fail");
        CHECK(bench.link->condition() == "Transfers fail");
    }
    bench.link.reset();
    REQUIRE(bench.wait_until([&] { return bench.usb.open_devices == 0; }));
}

TEST_CASE("usb: some failed reads are tried again after a pause") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    bench.open_and_drain();
    key.failures_in = 3;
    bench.usb.go_on();
    REQUIRE(bench.wait_until([&] { return bench.link->condition() == "Transfers fail"; }));
    bench.usb.send(key, packet("after"));
    REQUIRE(bench.wait_until([&] { return bench.got == "after"; }));
    CHECK(bench.lost.empty());
}

TEST_CASE("usb: pulled out in mid-transfer: told once, closed, nothing left") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    bench.open_and_drain();
    key.to_send.push_back({'h', 'a', 'l', 'f'});
    CHECK(bench.link->write(as_bytes("R")) == 1);
    bench.usb.unplug(key);
    REQUIRE(bench.wait_until([&] { return !bench.lost.empty(); }));
    CHECK(bench.lost == "unplugged");
    CHECK(bench.link->condition().empty());
    CHECK(bench.link->write(as_bytes("R")) == 1); // swallowed: the loss has been told
    bench.link.reset();
    REQUIRE(bench.wait_until([&] { return bench.usb.open_devices == 0; }));
    CHECK(bench.usb.transfers.empty());
    CHECK_FALSE(bench.open());
}

TEST_CASE(
    "usb: closing waits for cancelled transfers, then gives the data interface back before the control one") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    bench.open_and_drain();
    bench.link.reset();
    CHECK(bench.usb.open_devices == 1); // still in flight
    REQUIRE(bench.wait_until([&] { return bench.usb.open_devices == 0; }));
    CHECK(key.log == std::vector<std::string>{"claim 0", "claim 1", "release 1", "release 0"});
}

TEST_CASE("usb: the owner may drop the link from within a delivery, and while it opens") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    bench.open_and_drain();
    bench.drop_link_on_bytes = true;
    bench.usb.send(key, packet("one"));
    bench.usb.send(key, packet("two"));
    REQUIRE(bench.wait_until([&] { return bench.usb.open_devices == 0; }));
    CHECK(bench.got == "one");
    REQUIRE(bench.open());
    bench.link.reset();
    REQUIRE(bench.wait_until([&] { return bench.usb.open_devices == 0; }));
}

TEST_CASE(
    "usb: a device that is in use, has other endpoints, or refuses transfers is an error and left alone") {
    Bench bench;
    SUBCASE("in use") {
        bench.usb.plug(entropy_key, "1-1", "S1").busy = true;
        const auto opened = bench.open();
        REQUIRE_FALSE(opened);
        CHECK(opened.error().what == "in use by another program");
    }
    SUBCASE("no bulk endpoints, or packets of no size") {
        bench.usb.plug(
            entropy_key, "1-1", "S1",
            {{0, 0x02, {}}, {1, 0x0a, {{0x81, 0, true}, {0x03, 64, true}}}, {2, 0x0a, {{0x81, 64, false}}}});
        CHECK_FALSE(bench.open());
    }
    SUBCASE("none plugged in") {
        const auto opened = bench.open(quick_plan(), "S1");
        REQUIRE_FALSE(opened);
        CHECK(opened.error().what == "no Entropy Key S1 is plugged in");
    }
    SUBCASE("transfers refused: told later, not from within the call") {
        bench.usb.plug(entropy_key, "1-1", "S1");
        bench.usb.refuse_submits = 1;
        REQUIRE(bench.open());
        CHECK(bench.lost.empty());
        REQUIRE(bench.wait_until([&] { return bench.lost == "unplugged"; }));
        bench.link.reset();
    }
    REQUIRE(bench.wait_until([&] { return bench.usb.open_devices == 0; }));
}

TEST_CASE("usb: a paused link reads no more than what was in flight") {
    Bench bench;
    FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
    bench.open_and_drain();
    bench.link->pause(true);
    for (int i = 0; i < 20; ++i) {
        bench.usb.send(key, packet("12345678"));
    }
    REQUIRE(bench.wait_until([&] { return bench.usb.flying.empty(); }));
    CHECK(bench.got.size() == 4 * 8);
    bench.link->pause(false);
    REQUIRE(bench.wait_until([&] { return bench.got.size() == 20 * 8; }));
}

TEST_CASE("usb: of several devices the named one is opened, by serial or by place") {
    Bench bench;
    bench.usb.plug({0x1234, 0x5678}, "1-9", "S2");
    FakeDevice& first = bench.usb.plug(entropy_key, "1-1", "S1");
    FakeDevice& second = bench.usb.plug(entropy_key, "1-2.3", "S2");
    REQUIRE(bench.open(quick_plan(), "S2"));
    CHECK(second.claimed.size() == 2);
    REQUIRE(bench.open(quick_plan(), "1-1"));
    CHECK(first.claimed.size() == 2);
    bench.link.reset();
}

TEST_CASE("promise 8: a hundred plug cycles, each pulled out in mid-flow, leave nothing behind") {
    Bench bench;
    for (int i = 0; i < 100; ++i) {
        FakeDevice& key = bench.usb.plug(entropy_key, "1-1", "S1");
        bench.lost.clear();
        bench.got.clear();
        bench.open_and_drain();
        bench.usb.send(key, packet("* some of a frame"));
        if (i % 3 == 0) {
            REQUIRE(bench.wait_until([&] { return !bench.got.empty(); }));
        }
        if (i % 3 == 1) {
            key.stalls_in = 1;
        }
        bench.usb.unplug(key);
        REQUIRE(bench.wait_until([&] { return bench.lost == "unplugged"; }));
        bench.link.reset();
        REQUIRE(bench.wait_until([&] { return bench.usb.open_devices == 0; }));
        CHECK(bench.usb.transfers.empty());
        CHECK(bench.usb.flying.empty());
        CHECK(bench.usb.devices().empty());
    }
}
