#include <set>

#include <doctest/doctest.h>

#include "tests/support/session_harness.h"

using namespace ekey;
using namespace ekey::entropykey;
using namespace ekey::test;
using namespace std::chrono_literals;

namespace {

const Serial some_serial = parse_serial("NwBvBlg3OTBJORFD").value();
const std::vector<Byte> block(32, 7);

LongTermKey some_key(Byte fill = 5) {
    LongTermKey key;
    std::fill(key.span().begin(), key.span().end(), fill);
    return key;
}

struct Pair {
    ScriptedKey device{some_serial, some_key()};
    SessionHarness host;
    Pair() { host.key = some_key(); }
    const Counters& counters() const { return host.session.counters(); }
    State state() const { return host.session.state(); }
};

// `text` without its right MAC.
std::string spoilt(std::string text) {
    text[20] = text[20] == 'x' ? 'y' : 'x';
    return text;
}

} // namespace

TEST_CASE("session: from start to entropy") {
    Pair p;
    CHECK(p.state() == State::idle);
    CHECK(p.host.session.deadline() == Time::max());
    p.host.run(p.device);
    CHECK(p.state() == State::running);
    CHECK(p.host.plaintexts == std::vector<std::vector<Byte>>{std::vector<Byte>(32, 1)});
    CHECK(p.host.keys_needed == 1);
    CHECK(p.counters().resets == 1);
    CHECK(p.counters().rekeys == 1);
    CHECK(p.counters().nonces == 1);
    CHECK(p.counters().packets_ok == 3);
    CHECK(p.counters().frames_ok == 3);
    CHECK(p.counters().bytes_read == 192);
    CHECK(p.counters().bytes_written == 19);
    CHECK(p.counters().frame_byte_last == 128);
}

TEST_CASE("session: without a key it waits, and starts when the keyring brings one") {
    Pair p;
    p.host.refuse = true;
    p.host.start();
    p.host.converse(p.device);
    CHECK(p.state() == State::no_key);
    p.host.feed(p.device.text(PacketType::rekey_needed) + p.device.entropy(0, block));
    CHECK(p.host.output().empty());
    CHECK(p.host.plaintexts.empty());
    p.host.pass(24h);
    CHECK(p.state() == State::no_key);
    p.host.session.provide_key(some_key(), p.host.now);
    p.host.converse(p.device);
    p.host.feed(p.device.entropy(0, block));
    CHECK(p.state() == State::running);
    CHECK(p.host.plaintexts.size() == 1);
}

TEST_CASE("session: entropy under the zero session key is refused, for anyone can seal it") {
    Pair p;
    p.host.start();
    p.host.feed(p.device.serial_frame());
    CHECK(p.state() == State::rekeying);
    p.host.feed(p.device.entropy(0, block));
    CHECK(p.host.plaintexts.empty());
    CHECK(p.counters().packet_errors == 1);
}

TEST_CASE("session: the first frame after a re-key decides whether the key is right") {
    Pair p;
    p.host.key = some_key(6);
    p.host.start();
    p.host.converse(p.device);
    CHECK(p.state() == State::confirming);
    p.host.feed(p.device.entropy(0, block));
    CHECK(p.state() == State::wrong_key);
    for (std::uint16_t i = 1; i < 100; ++i)
        p.host.feed(p.device.entropy(i, block));
    CHECK(p.state() == State::wrong_key);
    CHECK(p.host.plaintexts.empty());

    // Tried again with a pause that doubles up to five minutes.
    std::vector<Duration> pauses;
    for (int i = 0; i < 9; ++i) {
        const Time before = p.host.now;
        p.host.pass(p.host.session.deadline() - p.host.now);
        pauses.push_back(p.host.now - before);
        CHECK(p.state() == State::resetting);
        p.host.converse(p.device);
        p.host.feed(p.device.info("T03143"));
        CHECK(p.state() == State::wrong_key);
    }
    CHECK(pauses == std::vector<Duration>{5s, 10s, 20s, 40s, 80s, 160s, 300s, 300s, 300s});

    p.host.key = some_key();
    p.host.session.provide_key(some_key(), p.host.now);
    p.host.converse(p.device);
    p.host.feed(p.device.entropy(0, block));
    CHECK(p.state() == State::running);
}

TEST_CASE("session: a first frame spoilt on the wire costs that frame only") {
    Pair p;
    p.host.start();
    p.host.converse(p.device);
    p.host.feed(spoilt(p.device.entropy(0, block)));
    CHECK(p.state() == State::wrong_key);
    p.host.feed(p.device.entropy(1, block));
    CHECK(p.state() == State::running);
    CHECK(p.host.plaintexts.size() == 1);
    CHECK(p.counters().missed == 1);
}

TEST_CASE("session: a K frame must answer our nonce, under the old key") {
    std::array<Byte, 32> nonce{};
    SUBCASE("unasked, while running") {
        Pair p;
        p.host.run(p.device);
        p.host.feed(p.device.binary(PacketType::session_key, 12, nonce));
        CHECK(p.state() == State::running);
        CHECK(p.counters().packet_errors == 1);
        CHECK(p.counters().rekeys == 1);
        p.host.feed(p.device.entropy(1, block));
        CHECK(p.host.plaintexts.size() == 2);
    }
    SUBCASE("for a nonce of another length") {
        Pair p;
        p.host.start();
        p.host.feed(p.device.serial_frame());
        p.host.output();
        p.host.feed(p.device.binary(PacketType::session_key, 11, nonce));
        CHECK(p.state() == State::resetting);
        p.host.pass(1s);
        CHECK(p.host.output() == "\x03");
    }
    SUBCASE("with a wrong MAC") {
        Pair p;
        p.host.start();
        p.host.feed(p.device.serial_frame());
        p.host.feed(spoilt(p.device.binary(PacketType::session_key, 12, nonce)));
        CHECK(p.state() == State::rekeying);
        CHECK(p.counters().rekeys == 0);
    }
}

TEST_CASE("session: after sequence number 4095 it re-keys by itself, and entropy goes on from 0") {
    Pair p;
    p.host.run(p.device);
    p.host.feed(p.device.entropy(4094, block));
    CHECK(p.host.output().empty());
    p.host.feed(p.device.entropy(4095, block));
    CHECK(p.state() == State::rekeying);
    p.host.converse(p.device);
    CHECK(p.state() == State::confirming);
    p.host.feed(p.device.entropy(0, block));
    CHECK(p.state() == State::running);
    CHECK(p.host.plaintexts.size() == 4);
    CHECK(p.counters().replayed == 0);
    CHECK(p.counters().rekeys == 2);
    CHECK(p.counters().resets == 1);
}

TEST_CASE(
    "session: a k frame while running asks for a re-key; entropy under the old key still counts meanwhile") {
    Pair p;
    p.host.run(p.device);
    const std::string request = p.device.text(PacketType::rekey_needed);
    p.host.feed(request + request + p.device.entropy(1, block));
    CHECK(p.state() == State::rekeying);
    CHECK(p.host.plaintexts.size() == 2);
    const std::string command = p.host.output();
    CHECK(command.size() == 18); // one, although it was asked twice
    const std::string late = p.device.entropy(2, block);
    const std::string answer = p.device.answer(as_bytes(command));
    p.host.feed(late + answer);
    CHECK(p.state() == State::confirming);
    CHECK(p.host.plaintexts.size() == 3);
    p.host.feed(p.device.entropy(0, block));
    CHECK(p.host.plaintexts.size() == 4);
}

TEST_CASE("session: nonces differ even when the random source gives the same bytes again and again") {
    SessionHarness host([](ByteSpan out) { std::fill(out.begin(), out.end(), Byte{0xff}); });
    ScriptedKey device(some_serial, some_key());
    host.key = some_key();
    host.start();
    std::set<std::string> commands;
    for (int i = 0; i < 300; ++i) {
        host.feed(device.answer(as_bytes(host.output())));
        const std::string command = host.output();
        CHECK(command.size() == 18);
        CHECK(commands.insert(command).second);
        host.feed(device.answer(as_bytes(command)));
        host.session.start(host.now);
    }
}

TEST_CASE("session: a serial frame in any state means that the device was reset") {
    Pair p;
    p.host.run(p.device);
    p.device.forget();
    p.host.feed(p.device.serial_frame());
    CHECK(p.host.keys_needed == 2);
    CHECK(p.state() == State::rekeying);
    p.host.converse(p.device);
    p.host.feed(p.device.entropy(0, block)); // the sequence is forgotten
    CHECK(p.state() == State::running);
    CHECK(p.host.plaintexts.size() == 2);
    CHECK(p.counters().replayed == 0);

    // While confirming, and with the key known to be missing.
    p.host.refuse = true;
    p.device.forget();
    p.host.feed(p.device.serial_frame() + p.device.serial_frame());
    CHECK(p.state() == State::no_key);
    CHECK(p.host.keys_needed == 4);
}

TEST_CASE("session: a reset in the middle of a re-key does not spoil the answer") {
    SUBCASE("the answer to an earlier reset comes late") {
        Pair p;
        p.host.start();
        p.host.pass(1s);           // asks again
        p.host.converse(p.device); // both resets are answered, the second S meets our nonce
        p.host.feed(p.device.entropy(0, block));
        CHECK(p.state() == State::running);
        CHECK(p.host.keys_needed == 1);
        CHECK(p.counters().resets == 2);
    }
    SUBCASE("from running: the old session key is gone, so entropy under it is refused") {
        Pair p;
        p.host.run(p.device);
        p.host.feed(p.device.entropy(4095, block));
        const std::string command = p.host.output();
        const std::string old_entropy = p.device.entropy(0, block);
        p.device.forget();
        p.host.feed(p.device.serial_frame() + old_entropy);
        CHECK(p.state() == State::rekeying);
        CHECK(p.host.plaintexts.size() == 2);
        p.host.feed(p.device.answer(as_bytes(command)));
        p.host.feed(p.device.entropy(0, block));
        CHECK(p.state() == State::running);
        CHECK(p.host.plaintexts.size() == 3);
    }
    SUBCASE("of another device") {
        Pair p;
        p.host.run(p.device);
        p.host.feed(p.device.entropy(4095, block));
        ScriptedKey other(Serial{}, some_key());
        p.host.feed(other.serial_frame());
        CHECK(p.state() == State::resetting);
        p.host.converse(other);
        p.host.feed(other.entropy(0, block));
        CHECK(p.state() == State::running);
        CHECK(p.host.session.serial() == Serial{});
    }
}

TEST_CASE("session: a forged or spoilt serial frame changes nothing") {
    Pair p;
    p.host.run(p.device);
    Serial other = some_serial;
    other.bytes[0] ^= 1;
    ScriptedKey zero(some_serial, some_key());
    std::string version_one = zero.binary(PacketType::serial, 1, some_serial.bytes);
    for (const std::string& bad : {spoilt(zero.serial_frame()), p.device.serial_frame(), version_one}) {
        p.host.feed(bad);
        CHECK(p.state() == State::running);
        p.host.feed(p.device.info("T03143"));
    }
    CHECK(p.counters().packet_errors == 3);
    CHECK(p.host.keys_needed == 1);
}

TEST_CASE("session: views and secrets last one call only") {
    Pair p;
    p.host.run(p.device);
    const std::string frame = p.device.entropy(1, std::vector<Byte>(32, 9));
    const auto step = p.host.session.receive(as_bytes(frame), p.host.now);
    const auto plaintext = std::get<Entropy>(step.event).plaintext;
    CHECK(plaintext[31] == 9);
    p.host.take_events();
    CHECK(std::count(plaintext.begin(), plaintext.end(), 0) == 32);
}

TEST_CASE("session: start again forgets the session but no count") {
    Pair p;
    p.host.run(p.device);
    p.host.feed(p.device.info("T03143"));
    p.host.start();
    CHECK(p.state() == State::resetting);
    CHECK_FALSE(p.host.session.serial());
    CHECK_FALSE(p.host.session.info().temperature);
    CHECK(p.counters().entropy_bytes == 32);
    p.host.feed(p.device.entropy(1, block)); // of a session that is over
    CHECK(p.host.plaintexts.size() == 1);
    p.host.run(p.device);
    CHECK(p.state() == State::running);
}
