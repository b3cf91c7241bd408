#include <random>

#include <doctest/doctest.h>

#include "tests/support/session_harness.h"

using namespace ekey;
using namespace ekey::entropykey;
using namespace ekey::test;
using namespace std::chrono_literals;

namespace {

const Serial some_serial = parse_serial("NwBvBlg3OTBJORFD").value();
const std::vector<Byte> block(32, 7);

struct Pair {
    ScriptedKey device{some_serial, LongTermKey()};
    SessionHarness host;
    Pair() { host.key = LongTermKey(); }
    const Counters& counters() const { return host.session.counters(); }
    State state() const { return host.session.state(); }
};

std::string spoilt(std::string text) {
    text[20] = text[20] == 'x' ? 'y' : 'x';
    return text;
}

const std::string report_failed = "S08052:23751:23792:23584:07112:20876:08063:24150:1";
const std::string report_good = "S08052:23751:23792:23584:07112:20876:08063:24150:0";

} // namespace

TEST_CASE("session: no answer to the reset: it asks again, backing off to half a minute") {
    Pair p;
    p.host.start();
    std::vector<Duration> pauses;
    for (int i = 0; i < 8; ++i) {
        CHECK(p.host.output() == "\x03");
        const Time before = p.host.now;
        p.host.pass(p.host.session.deadline() - p.host.now);
        pauses.push_back(p.host.now - before);
    }
    CHECK(pauses == std::vector<Duration>{1s, 2s, 4s, 8s, 16s, 30s, 30s, 30s});
    p.host.converse(p.device);
    p.host.feed(p.device.entropy(0, block));
    CHECK(p.state() == State::running);
}

TEST_CASE("session: output that is not taken does not pile up") {
    Pair p;
    p.host.start();
    p.host.pass(1h);
    CHECK(p.host.session.pending_output().size() == 1);
    for (int i = 0; i < 100; ++i) {
        p.host.session.start(p.host.now);
        p.host.session.provide_key(LongTermKey(), p.host.now);
        p.host.session.refuse_key(p.host.now);
        p.host.session.handle_timeout(p.host.now + 1min);
    }
    CHECK(p.host.session.pending_output().size() == 1);
    p.host.run(p.device);
    CHECK(p.state() == State::running);
}

TEST_CASE(
    "promise 5: a device that begins session after session before a byte is written to it ends nothing") {
    for (const bool command_cut_off : {false, true}) {
        CAPTURE(command_cut_off);
        Pair p;
        p.host.start();
        CHECK(p.host.output() == "\x03");
        for (int i = 0; i < 10; ++i) { // none of this needs a key
            p.host.feed(p.device.serial_frame() + p.device.binary(PacketType::session_key, 12, block));
            CHECK(p.state() == State::confirming);
            if (command_cut_off)
                p.host.session.consume_output(5);
        }
        p.host.feed(p.device.serial_frame());
        CHECK(p.host.session.pending_output().size() == 1 + 18); // a reset, then one nonce
        p.host.converse(p.device);
        p.host.feed(p.device.entropy(0, block));
        CHECK(p.state() == State::running);
    }
}

TEST_CASE("session: no answer to the nonce: again from the reset") {
    Pair p;
    p.host.start();
    p.host.feed(p.device.serial_frame());
    p.host.output();
    CHECK(p.state() == State::rekeying);
    p.host.pass(2s);
    CHECK(p.state() == State::resetting);
    p.host.pass(1s);
    p.host.converse(p.device);
    p.host.feed(p.device.entropy(0, block));
    CHECK(p.state() == State::running);
}

TEST_CASE("session: a device that takes its time for each answer is waited for longer and longer") {
    Pair p;
    p.host.start();
    std::string late; // each answer comes 9 seconds after its command
    Time due = Time::max();
    for (int seconds = 0; seconds < 120 && p.state() != State::confirming; ++seconds) {
        if (p.host.now >= due) {
            due = Time::max();
            p.host.feed(late);
        }
        if (const std::string command = p.host.output(); !command.empty() && due == Time::max()) {
            late = p.device.answer(as_bytes(command));
            due = p.host.now + 9s;
        }
        p.host.pass(1s);
    }
    p.host.feed(p.device.entropy(0, block));
    CHECK(p.state() == State::running);
    CHECK(p.counters().resets < 10);
}

TEST_CASE(
    "session: a device whose entropy never verifies, though the rest does, is asked less and less often") {
    Pair p;
    p.host.start();
    for (int seconds = 0; seconds < 600; ++seconds) {
        p.host.converse(p.device);
        p.host.feed(p.device.text(PacketType::info, "T03143"));
        for (int i = 0; i < 4; ++i)
            p.host.feed(spoilt(p.device.entropy(99, block)));
        p.host.pass(1s);
    }
    CHECK(p.counters().resets < 30); // each is logged; half a minute apart in the end
}

TEST_CASE("session: nothing happens before the deadline") {
    Pair p;
    p.host.start();
    p.host.output();
    CHECK(std::holds_alternative<std::monostate>(
        p.host.session.handle_timeout(p.host.session.deadline() - 1ns)));
    CHECK(p.host.output().empty());
}

TEST_CASE("session: silence while running resets the device") {
    Pair p;
    p.host.run(p.device);
    for (std::uint16_t i = 1; i < 10; ++i) {
        p.host.pass(4s);
        CHECK(p.state() == State::running);
        p.host.feed(p.device.entropy(i, block));
    }
    for (int i = 0; i < 3; ++i) { // what does not verify does not count
        p.host.pass(1s);
        p.host.feed(spoilt(p.device.entropy(100, block)));
    }
    p.host.pass(2s);
    CHECK(p.state() == State::resetting);
    CHECK(p.host.output() == "\x03");
}

TEST_CASE("session: silence that the owner made by not reading is not the device's") {
    Pair p;
    p.host.run(p.device);
    p.host.now += 1h;
    p.host.session.resume(p.host.now);
    p.host.pass(4s);
    CHECK(p.state() == State::running);
    p.host.pass(1s);
    CHECK(p.state() == State::resetting);
}

TEST_CASE("session: one bad MAC is noise, four in a row are another session") {
    Pair p;
    p.host.run(p.device);
    for (std::uint16_t i = 1; i < 20; ++i) {
        p.host.feed(spoilt(p.device.entropy(99, block)) + spoilt(p.device.entropy(99, block)) +
                    spoilt(p.device.entropy(99, block)) + p.device.entropy(i, block));
        CHECK(p.state() == State::running);
    }
    CHECK(p.host.plaintexts.size() == 20);
    CHECK(p.counters().packet_errors == 57);
    for (int i = 0; i < 4; ++i)
        p.host.feed(spoilt(p.device.entropy(99, block)));
    CHECK(p.state() == State::resetting);
    CHECK(p.host.output() == "\x03");
}

TEST_CASE("session: a W frame while re-keying starts again, with a pause") {
    Pair p;
    p.host.start();
    p.host.feed(p.device.answer(as_bytes(p.host.output())));
    CHECK(p.host.output().size() == 18);
    p.host.feed(p.device.text(PacketType::unexpected, "Unknown Input Character 0x65"));
    CHECK(p.state() == State::resetting);
    CHECK(p.host.output().empty());
    p.host.pass(1s);
    p.host.converse(p.device);
    p.host.feed(p.device.entropy(0, block) + p.device.text(PacketType::unexpected));
    CHECK(p.state() == State::running);
    CHECK(p.counters().unexpected_input == 2);
}

TEST_CASE("session: the device's failure report stops it, and its entropy is refused from then on") {
    Pair p;
    p.host.run(p.device);
    p.host.feed(p.device.info(report_failed));
    CHECK(p.state() == State::self_stopped);
    CHECK(p.host.failures == "1");
    p.host.feed(p.device.entropy(1, block) + p.device.entropy(2, block));
    p.host.feed(p.device.info(report_good) +
                p.device.info(report_failed)); // only a reset makes it believable again
    CHECK(p.state() == State::self_stopped);
    CHECK(p.host.plaintexts.size() == 1);
    CHECK(p.host.failures == "1");
}

TEST_CASE("session: a B frame while re-keying stops it; the report that names the failure adds the name") {
    Pair p;
    p.host.start();
    p.host.feed(p.device.answer(as_bytes(p.host.output())));
    p.host.output();
    p.host.feed(p.device.text(PacketType::generators_bad));
    CHECK(p.state() == State::self_stopped);
    CHECK(p.host.failures == "?");
    p.host.feed(p.device.info(report_failed) + p.device.text(PacketType::generators_bad));
    CHECK(p.host.failures == "?1");
}

TEST_CASE("session: a stopped device is asked again once a minute, and stays stopped until it recovers") {
    Pair p;
    p.host.run(p.device);
    p.host.feed(p.device.info(report_failed));
    p.host.states.clear();
    for (int i = 0; i < 5; ++i) {
        p.host.pass(59s);
        CHECK(p.host.output().empty());
        p.host.pass(1s);
        p.host.feed(p.device.answer(as_bytes(p.host.output())));
        CHECK(p.host.output().size() == 18);
        p.host.feed(p.device.text(PacketType::generators_bad));
        CHECK(p.state() == State::self_stopped);
    }
    CHECK(p.host.states.empty()); // the owner saw none of that
    CHECK(p.host.failures == "1");

    p.host.pass(60s);
    p.host.converse(p.device);
    CHECK(p.state() == State::self_stopped);
    SUBCASE("entropy after a reset") {
        p.host.feed(p.device.entropy(0, block));
    }
    SUBCASE("a report without a failure after a reset") {
        p.host.feed(p.device.info(report_good));
    }
    CHECK(p.state() == State::running);
    CHECK(p.host.states == std::vector{State::running});
    p.host.feed(p.device.info(report_failed));
    CHECK(p.host.failures == "11");
}

TEST_CASE("session: a stopped device that was power-cycled tells its serial number and is taken back") {
    Pair p;
    p.host.run(p.device);
    p.host.feed(p.device.info(report_failed));
    p.device.forget();
    p.host.feed(p.device.serial_frame());
    p.host.converse(p.device);
    p.host.feed(p.device.entropy(0, block));
    CHECK(p.state() == State::running);
    CHECK(p.host.plaintexts.size() == 2);
}

TEST_CASE("promise 5: any garbage, between and inside frames, and a good device is understood again") {
    std::mt19937 random(1);
    const auto noise = [&](std::size_t size) {
        std::string bytes(size, '\0');
        for (char& c : bytes)
            c = random() % 2 == 0 ? static_cast<char>(random()) : "* SEKkIWB!>\r\nA="[random() % 15];
        return bytes;
    };
    for (int round = 0; round < 300; ++round) {
        Pair p;
        p.host.start();
        std::uint16_t sequence = 0;
        // A device on a wire that spoils, loses and adds.
        for (int i = 0; i < 60; ++i) {
            std::string wire = p.device.answer(as_bytes(p.host.output()));
            switch (random() % 8) {
            case 0:
                wire += p.device.text(static_cast<PacketType>("IWkMlB"[random() % 6]), noise(random() % 50));
                break;
            case 1:
                wire += p.device.binary(static_cast<PacketType>("SEKL"[random() % 4]),
                                        static_cast<std::uint16_t>(random() % 4096),
                                        as_bytes(noise(random() % 32)));
                break;
            case 2: p.host.pass(std::chrono::seconds(random() % 10)); break;
            case 3: wire += noise(random() % 200); break;
            default: wire += p.device.entropy(sequence++, block); break;
            }
            if (random() % 4 == 0 && !wire.empty())
                wire.insert(random() % wire.size(), noise(random() % 70));
            if (random() % 4 == 0 && !wire.empty())
                wire.erase(random() % wire.size(), random() % 70);
            if (random() % 4 == 0 && !wire.empty())
                wire[random() % wire.size()] = static_cast<char>(random());
            p.host.feed(wire, 1 + random() % 300);
        }
        // The wire is good again. Everything is bounded: the longest pause is that of a stopped device.
        int timeouts = 0;
        p.host.feed(p.device.answer(as_bytes(p.host.output())));
        sequence = 0;
        const auto before = p.host.plaintexts.size();
        while (p.host.plaintexts.size() < before + 10 && timeouts < 20) {
            for (int i = 0; i < 20; ++i) {
                p.host.converse(p.device);
                p.host.feed(p.device.entropy(sequence, block));
                sequence = static_cast<std::uint16_t>((sequence + 1) % 4096);
            }
            if (p.host.plaintexts.size() >= before + 10)
                break;
            ++timeouts;
            REQUIRE(p.host.session.deadline() - p.host.now <= 5min);
            p.host.pass(p.host.session.deadline() - p.host.now);
            sequence = 0;
        }
        CHECK(timeouts <= 4);
        CHECK(p.state() == State::running);
        for (const auto& plaintext : p.host.plaintexts)
            CHECK(plaintext == block);
    }
}
