// USB/IP's messages, byte for byte as Linux's usbip_protocol.rst lays them out, and the software key's USB
// side.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "tests/softkey/usbip_session.h"

namespace ekey::softkey {

namespace {

using Bytes = std::vector<Byte>;

Bytes hex(std::string_view text) {
    Bytes bytes;
    std::string digits;
    for (const char c : text) {
        if (c != ' ') {
            digits += c;
        }
        if (digits.size() == 2) {
            bytes.push_back(static_cast<Byte>(std::stoi(digits, nullptr, 16)));
            digits.clear();
        }
    }
    return bytes;
}

Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

struct Bench : UsbipPorts, UsbipPort {
    virtual ~Bench() = default;
    UsbKey usb_key{"NwBvBlg3OTBJORFD"};
    UsbipSession session{*this};
    bool taken = false;
    int configurations = 0, crashes = 0, reads = 0;
    bool unplug_on_write = false;
    Bytes written;

    std::vector<usbip::DeviceEntry> free_devices() override { return {entry()}; }
    UsbipPort* find(std::string_view busid) override { return busid == "1-1" && !taken ? this : nullptr; }
    usbip::DeviceEntry entry() const override {
        return {.path = "/sys/x",
                .busid = "1-1",
                .bus = 1,
                .number = 2,
                .speed = 2,
                .vendor = 0x20df,
                .product = 1,
                .release = 0x0100,
                .device_class = 2,
                .configurations = 1,
                .interfaces = {{2, 2, 1}, {10, 0, 0}}};
    }
    UsbKey& key() override { return usb_key; }
    void on_imported(UsbipSession&) override {
        taken = true;
        usb_key.reset();
    }
    void on_configuration() override { ++configurations; }
    void on_crashed() override { ++crashes; }
    void on_bulk_out(ByteView bytes) override {
        written.insert(written.end(), bytes.begin(), bytes.end());
        if (unplug_on_write) {
            session.detach();
        }
    }
    void on_read_waits() override { ++reads; }

    Bytes output() {
        const Bytes bytes(session.pending_output().begin(), session.pending_output().end());
        session.consume_output(bytes.size());
        return bytes;
    }
    Bytes answer_to(const Bytes& request) {
        REQUIRE(session.receive(request).has_value());
        return output();
    }
};

Bytes padded(std::string_view text, std::size_t size) {
    Bytes bytes(text.begin(), text.end());
    bytes.resize(size);
    return bytes;
}

const Bytes import_request = hex("0111 8003 00000000") + padded("1-1", 32);
// busnum, devnum, speed, idVendor, idProduct, bcdDevice, class, subclass, protocol, configuration,
// configurations, interfaces
const Bytes device = padded("/sys/x", 256) + padded("1-1", 32) +
                     hex("00000001 00000002 00000002 20df 0001 0100 02 00 00 00 01 02");

// Requests to device 1-1, whose id is 00010002.
Bytes submit(std::string_view sequence, std::string_view direction_and_endpoint, std::string_view length,
             std::string_view setup = "00000000 00000000") {
    return hex("00000001") + hex(sequence) + hex("00010002") + hex(direction_and_endpoint) + hex("00000000") +
           hex(length) + hex("00000000 00000000 00000000") + hex(setup);
}
Bytes reply(std::string_view sequence, std::string_view status, std::string_view actual) {
    return hex("00000003") + hex(sequence) + hex("00000000 00000000 00000000") + hex(status) + hex(actual) +
           hex("00000000 00000000 00000000 00000000 00000000");
}
Bytes unlink(std::string_view sequence, std::string_view target) {
    return hex("00000002") + hex(sequence) + hex("00010002 00000000 00000000") + hex(target) + Bytes(24);
}
Bytes unlink_reply(std::string_view sequence, std::string_view status) {
    return hex("00000004") + hex(sequence) + hex("00000000 00000000 00000000") + hex(status) + Bytes(24);
}

const Bytes configure = submit("00000001", "00000000 00000000", "00000000", "00 09 0100 0000 0000");
const Bytes configured = reply("00000001", "00000000", "00000000");
const Bytes read_64 = submit("00000007", "00000001 00000001", "00000040");

struct Imported final : Bench {
    Imported() {
        answer_to(import_request);
        CHECK(answer_to(configure) == configured);
    }
};

} // namespace

TEST_CASE("USB/IP: the list of devices") {
    Bench bench;
    CHECK(bench.answer_to(hex("0111 8005 00000000")) ==
          hex("0111 0005 00000000 00000001") + device + hex("02020100 0a000000"));
}

TEST_CASE("USB/IP: a device is imported; an unknown one, and one that another host has, are refused") {
    Bench bench;
    CHECK(bench.answer_to(hex("0111 8003 00000000") + padded("1-2", 32)) == hex("0111 0003 00000001"));
    const Bytes answer = bench.answer_to(import_request);
    CHECK(answer.size() == 320);
    CHECK(answer == hex("0111 0003 00000000") + device);
    UsbipSession second(bench);
    REQUIRE(second.receive(import_request).has_value());
    CHECK(std::ranges::equal(second.pending_output(), hex("0111 0003 00000001")));
}

TEST_CASE("USB/IP: however the stream is cut, the answers are the same") {
    const Bytes stream = import_request + configure + submit("00000002", "00000000 00000003", "00000004") +
                         hex("03040506") + read_64 + unlink("00000008", "00000007");
    const Bytes expected = hex("0111 0003 00000000") + device + configured +
                           reply("00000002", "00000000", "00000004") + unlink_reply("00000008", "ffffff98");
    for (std::size_t size = 1; size <= stream.size(); ++size) {
        Bench bench;
        for (std::size_t at = 0; at < stream.size(); at += size) {
            const ByteView piece = ByteView(stream).subspan(at, std::min(size, stream.size() - at));
            REQUIRE(bench.session.receive(piece).has_value());
        }
        REQUIRE(bench.output() == expected);
        REQUIRE(bench.written == hex("03040506"));
    }
}

TEST_CASE("USB/IP: a bulk read waits until the device has bytes; a shorter answer ends it; the rest is for "
          "the next") {
    Imported bench;
    CHECK(bench.session.answer_read(Bytes(64, 'x')) == 0);
    CHECK(bench.answer_to(read_64).empty());
    CHECK(bench.reads == 1);
    CHECK(bench.session.answer_read(hex("2a2020")) == 3);
    CHECK(bench.output() == reply("00000007", "00000000", "00000003") + hex("2a2020"));
    CHECK(bench.answer_to(submit("00000009", "00000001 00000001", "00000002")).empty());
    CHECK(bench.session.answer_read(hex("010203")) == 2);
    CHECK(bench.output() == reply("00000009", "00000000", "00000002") + hex("0102"));
}

TEST_CASE("USB/IP: what is unlinked is answered with ECONNRESET and never otherwise; what is done already, "
          "with 0") {
    Imported bench;
    bench.answer_to(read_64);
    CHECK(bench.answer_to(unlink("0000000a", "00000007")) == unlink_reply("0000000a", "ffffff98"));
    CHECK(bench.session.answer_read(Bytes(64, 'x')) == 0);
    CHECK(bench.output().empty());
    CHECK(bench.answer_to(unlink("0000000b", "00000007")) == unlink_reply("0000000b", "00000000"));
    // The interrupt endpoint has nothing to say, and can be unlinked too.
    CHECK(bench.answer_to(submit("0000000c", "00000001 00000002", "00000008")).empty());
    CHECK(bench.answer_to(unlink("0000000d", "0000000c")) == unlink_reply("0000000d", "ffffff98"));
}

TEST_CASE("USB/IP: what the device cannot take yet waits, is counted, and can be unlinked") {
    Imported bench;
    bench.session.accept_writes(false);
    CHECK(bench.answer_to(submit("00000002", "00000000 00000003", "00000001") + hex("aa")).empty());
    CHECK(bench.answer_to(submit("00000003", "00000000 00000003", "00000001") + hex("bb")).empty());
    CHECK(bench.answer_to(unlink("00000004", "00000002")) == unlink_reply("00000004", "ffffff98"));
    bench.session.accept_writes(true);
    CHECK(bench.output() == reply("00000003", "00000000", "00000001"));
    CHECK(bench.written == hex("bb"));
}

TEST_CASE("USB/IP: the device vanishes while it takes bytes: nothing more is heard") {
    Imported bench;
    bench.unplug_on_write = true;
    const Bytes write = submit("00000002", "00000000 00000003", "00000001") + hex("aa");
    REQUIRE(bench.session.receive(write + write).has_value());
    CHECK(bench.written == hex("aa"));
    CHECK(bench.session.ended());
}

TEST_CASE("USB/IP: hostile clients are refused") {
    SUBCASE("another version") {
        CHECK_FALSE(Bench().session.receive(hex("0106 8005 00000000")).has_value());
    }
    SUBCASE("an operation that is none") {
        CHECK_FALSE(Bench().session.receive(hex("0111 8009 00000000")).has_value());
    }
    SUBCASE("a busid without an end") {
        CHECK_FALSE(Bench().session.receive(hex("0111 8003 00000000") + Bytes(32, 'a')).has_value());
    }
    SUBCASE("a transfer of 4 GiB in or out") {
        CHECK_FALSE(
            Imported().session.receive(submit("00000002", "00000000 00000003", "ffffffff")).has_value());
        CHECK_FALSE(
            Imported().session.receive(submit("00000002", "00000001 00000001", "ffffffff")).has_value());
    }
    SUBCASE("a command that is none") {
        CHECK_FALSE(Imported().session.receive(hex("00000005") + Bytes(44)).has_value());
    }
    SUBCASE("a device that was not imported") {
        Bytes other = read_64;
        other[11] = 3;
        CHECK_FALSE(Imported().session.receive(other).has_value());
        other = unlink("00000004", "00000002");
        other[11] = 3;
        CHECK_FALSE(Imported().session.receive(other).has_value());
    }
    SUBCASE("an endpoint above 15, a third direction, an isochronous transfer") {
        CHECK_FALSE(
            Imported().session.receive(submit("00000002", "00000001 00000010", "00000040")).has_value());
        CHECK_FALSE(
            Imported().session.receive(submit("00000002", "00000002 00000001", "00000040")).has_value());
        Bytes isochronous = read_64;
        isochronous[35] = 1;
        CHECK_FALSE(Imported().session.receive(isochronous).has_value());
    }
    SUBCASE("transfers without end") {
        Imported bench;
        int accepted = 0;
        while (bench.session.receive(read_64).has_value() && accepted < 1000) {
            ++accepted;
        }
        CHECK(accepted == 256);
    }
}

TEST_CASE("USB/IP: an endpoint that is none, or a key without a configuration, stalls") {
    Imported bench;
    CHECK(bench.answer_to(submit("00000002", "00000001 00000005", "00000040")) ==
          reply("00000002", "ffffffe0", "00000000"));
    Bench fresh;
    fresh.answer_to(import_request);
    CHECK(fresh.answer_to(read_64) == reply("00000007", "ffffffe0", "00000000"));
}

TEST_CASE("USB/IP: a halted endpoint stalls what waits and what comes, until the host clears it") {
    Imported bench;
    bench.answer_to(read_64);
    // SET_FEATURE(ENDPOINT_HALT) on 0x81
    CHECK(bench.answer_to(submit("00000008", "00000000 00000000", "00000000", "02 03 0000 8100 0000")) ==
          reply("00000008", "00000000", "00000000") + reply("00000007", "ffffffe0", "00000000"));
    CHECK(bench.answer_to(read_64) == reply("00000007", "ffffffe0", "00000000"));
    // GET_STATUS, then CLEAR_FEATURE(ENDPOINT_HALT)
    CHECK(bench.answer_to(submit("00000009", "00000001 00000000", "00000002", "82 00 0000 8100 0200")) ==
          reply("00000009", "00000000", "00000002") + hex("0100"));
    CHECK(bench.answer_to(submit("0000000a", "00000000 00000000", "00000000", "02 01 0000 8100 0000")) ==
          reply("0000000a", "00000000", "00000000"));
    CHECK(bench.answer_to(read_64).empty());
}

TEST_CASE("USB/IP: SET_CONTROL_LINE_STATE crashes the key: it answers nothing more, and says so once") {
    Imported bench;
    bench.answer_to(read_64);
    CHECK(
        bench.answer_to(submit("00000008", "00000000 00000000", "00000000", "21 22 0300 0000 0000")).empty());
    CHECK(bench.crashes == 1);
    CHECK(bench.session.answer_read(Bytes(64, 'x')) == 0);
    CHECK(bench.answer_to(configure).empty());
    CHECK(bench.crashes == 1);
    CHECK(bench.answer_to(unlink("0000000a", "00000007")) == unlink_reply("0000000a", "ffffff98"));
}

TEST_CASE("USB/IP: reads that are to stall halt the endpoint, one clearing for each, those that wait first") {
    Imported bench;
    const Bytes clear = submit("0000000b", "00000000 00000000", "00000000", "02 01 0000 8100 0000");
    const Bytes cleared = reply("0000000b", "00000000", "00000000");
    const Bytes stalled = reply("00000007", "ffffffe0", "00000000"); // -EPIPE
    CHECK(bench.answer_to(read_64).empty());
    bench.usb_key.stall_reads(2);
    bench.session.stall_waiting();
    CHECK(bench.output() == stalled);
    CHECK(bench.answer_to(read_64) == stalled); // halted still
    CHECK(bench.answer_to(clear) == cleared);
    CHECK(bench.answer_to(read_64) == stalled); // the second
    CHECK(bench.answer_to(clear) == cleared);
    CHECK(bench.answer_to(read_64).empty());
    CHECK(bench.session.answer_read(Bytes(3, 'x')) == 3);
}

TEST_CASE("USB/IP: a mute device answers no bulk transfer, can be cancelled, and goes on with what waits") {
    Imported bench;
    const Bytes write = submit("00000009", "00000000 00000003", "00000001") + hex("03");
    bench.session.mute(true);
    CHECK(bench.answer_to(read_64).empty());
    CHECK(bench.answer_to(write).empty());
    CHECK_FALSE(bench.session.read_waits());
    CHECK(bench.session.answer_read(Bytes(3, 'x')) == 0);
    CHECK(bench.answer_to(unlink("0000000a", "00000007")) == unlink_reply("0000000a", "ffffff98"));
    CHECK(bench.answer_to(read_64).empty());
    CHECK(bench.written.empty());
    bench.session.mute(false);
    CHECK(bench.output() == reply("00000009", "00000000", "00000001"));
    CHECK(bench.written == hex("03"));
    CHECK(bench.session.answer_read(Bytes(3, 'x')) == 3);
}

TEST_CASE("a OneRNG and a TrueRNG: ids, endpoints, serial numbers; DTR is no harm") {
    for (const auto& [personality, serial, id, endpoints] :
         {std::tuple{onerng_usb, "00", "501d 8660 0001 01 02 03 01", "84 85 05"},
          std::tuple{truerng_usb, "", "d804 fef5 0001 01 02 00 01", "81 82 02"}}) {
        UsbKey key(serial, personality);
        key.reset();
        const auto get = [&](Byte type, Byte index) {
            return *key.control({0x80, 6, index, type, 0, 0, 255, 0}, {});
        };
        CHECK(get(1, 0).data == hex("12 01 0002 02 00 00 40") + hex(id));
        const Bytes configuration = get(2, 0).data;
        Bytes found;
        for (std::size_t at = 0; at < configuration.size(); at += configuration[at]) {
            if (configuration[at + 1] == 5) {
                found.push_back(configuration[at + 2]);
            }
        }
        CHECK(found == hex(endpoints));
        CHECK(get(3, 3).stall == (*serial == 0));
        CHECK_FALSE(key.dtr());
        CHECK_FALSE(key.control({0x21, 0x22, 3, 0, 0, 0, 0, 0}, {})->stall);
        CHECK(key.dtr());
        CHECK_FALSE(key.control({0x21, 0x22, 2, 0, 0, 0, 0, 0}, {})->stall); // RTS alone
        CHECK_FALSE(key.dtr());
        CHECK_FALSE(key.crashed());
    }
}

TEST_CASE("an Entropy Key's descriptors") {
    UsbKey key("NwBvBlg3OTBJORFD");
    key.reset();
    const auto get = [&](Byte type, Byte index, Byte length) {
        return key.control({0x80, 6, index, type, 0, 0, length, 0}, {})->data;
    };
    CHECK(get(1, 0, 255) == hex("12 01 0002 02 00 00 40 df20 0100 0001 01 02 03 01"));
    CHECK(get(1, 0, 8) == hex("12 01 0002 02 00 00 40")); // what a host asks for first
    const Bytes configuration = get(2, 0, 255);
    REQUIRE(configuration.size() == 67);
    std::vector<Byte> endpoints, types;
    for (std::size_t at = 0; at < configuration.size(); at += configuration[at]) {
        REQUIRE(configuration[at] >= 2);
        REQUIRE(at + configuration[at] <= configuration.size());
        types.push_back(configuration[at + 1]);
        if (types.back() == 5) {
            endpoints.push_back(configuration[at + 2]);
        }
    }
    CHECK(types == hex("02 04 24 24 24 24 05 04 05 05"));
    CHECK(endpoints == hex("82 81 03"));
    CHECK(configuration[2] == configuration.size());
    const Bytes serial = get(3, 3, 255);
    REQUIRE(serial.size() == 34);
    CHECK(serial[0] == 34);
    CHECK(serial[2] == 'N');
    CHECK(serial[32] == 'D');
    CHECK(key.control({0x80, 6, 0, 6, 0, 0, 10, 0}, {})->stall); // device qualifier: one speed only
    CHECK(key.control({0x80, 6, 4, 3, 0, 0, 255, 0}, {})->stall);
}

TEST_CASE("an Entropy Key's other control requests") {
    UsbKey key("NwBvBlg3OTBJORFD");
    key.reset();
    const Bytes coding = hex("00c20100 00 00 08"); // 115200 8N1
    CHECK_FALSE(key.control({0x21, 0x20, 0, 0, 0, 0, 7, 0}, coding)->stall);
    CHECK(key.control({0xa1, 0x21, 0, 0, 0, 0, 7, 0}, {})->data == coding);
    CHECK(key.control({0x21, 0x20, 0, 0, 0, 0, 7, 0}, hex("00"))->stall); // the data stage is too short
    CHECK(key.control({0x00, 9, 2, 0, 0, 0, 0, 0}, {})->stall);           // no such configuration
    CHECK(key.control({0x01, 11, 0, 0, 1, 0, 0, 0}, {})->stall);          // SET_INTERFACE before one is set
    CHECK_FALSE(key.control({0x00, 9, 1, 0, 0, 0, 0, 0}, {})->stall);
    CHECK(key.control({0x80, 8, 0, 0, 0, 0, 1, 0}, {})->data == hex("01"));
    CHECK_FALSE(key.control({0x01, 11, 0, 0, 1, 0, 0, 0}, {})->stall);
    CHECK(key.control({0x01, 11, 1, 0, 1, 0, 0, 0}, {})->stall);
    CHECK(key.control({0x80, 0, 0, 0, 0, 0, 2, 0}, {})->data == hex("0000"));
    CHECK(key.control({0xc0, 1, 0, 0, 0, 0, 2, 0}, {})->stall); // a vendor's
}

} // namespace ekey::softkey
