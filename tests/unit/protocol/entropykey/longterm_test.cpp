#include <random>

#include <doctest/doctest.h>

#include "protocol/entropykey/longterm.h"
#include "tests/support/entropy_key_vectors.h"
#include "tests/support/scripted_key.h"

using namespace ekey;
using namespace ekey::entropykey;
using namespace ekey::test;
using namespace std::chrono_literals;

namespace {

const Serial some_serial = parse_serial("NwBvBlg3OTBJORFD").value();
const std::array<Byte, 32> device_nonce{1, 2, 3};

std::vector<Byte> fixed_nonce;
void fixed_random(ByteSpan out) {
    std::copy_n(fixed_nonce.begin(), out.size(), out.begin());
}

MasterKey some_master() {
    MasterKey key;
    key.data()[0] = 1;
    return key;
}

struct Host {
    LongTermRekey rekey;
    Time now{1h};
    explicit Host(std::optional<Serial> expected = std::nullopt)
        : rekey(some_master(), expected, fixed_random) {
        fixed_nonce.assign(12, 'n');
        rekey.start(now);
    }
    std::string output() {
        const std::string out(as_text(rekey.pending_output()));
        rekey.consume_output(out.size());
        return out;
    }
    void feed(const std::string& bytes) { rekey.receive(as_bytes(bytes), now); }
    void time_out() {
        REQUIRE(rekey.deadline() != Time::max());
        now = rekey.deadline();
        rekey.handle_timeout(now);
    }
    std::string error() { return rekey.outcome() && !*rekey.outcome() ? rekey.outcome()->error().what : ""; }
    bool error_says(std::string_view words) { return error().find(words) != std::string::npos; }
};

struct Pair : Host {
    ScriptedKey device{some_serial, LongTermKey()}; // in its session after a reset: the zero session key
    std::string serial = device.serial_frame(), unlocked = device.text(PacketType::long_term_unlocked),
                done = device.binary(PacketType::long_term_key, 12, device_nonce),
                refused = device.text(PacketType::long_term_failed, "Nonce MAC does not match"),
                bad = device.text(PacketType::generators_bad),
                misunderstood = device.text(PacketType::unexpected);
    using Host::Host;
};

std::string spoilt(std::string text) {
    text[20] = text[20] == 'x' ? 'y' : 'x';
    return text;
}

} // namespace

TEST_CASE("long-term re-key: the vectors, whole, byte by byte, and with a tail") {
    for (const auto& [_, session] : entropy_key_sessions()) {
        const auto& vector = session.get_child("long_term_rekey");
        const Serial serial = serial_at(session);
        const std::string unlocked = ScriptedKey(serial, LongTermKey()).text(PacketType::long_term_unlocked);
        for (const std::size_t piece : {1, 7, 1000}) {
            fixed_nonce = hex_at(vector, "host_nonce");
            LongTermRekey rekey(
                parse_master_key(vector.get<std::string>("master_key_with_check_base64")).value(), serial,
                fixed_random);
            const auto feed = [&](std::string bytes) {
                for (; !bytes.empty(); bytes.erase(0, piece))
                    rekey.receive(as_bytes(bytes.substr(0, piece)), Time());
            };
            const auto output = [&] {
                const std::string out(as_text(rekey.pending_output()));
                rekey.consume_output(out.size());
                return out;
            };
            rekey.start(Time());
            CHECK(output() == "\x03");
            feed(session.get<std::string>("serial_frame"));
            CHECK(output() == vector.get<std::string>("mac_command"));
            feed(unlocked);
            CHECK(output() == vector.get<std::string>("rekey_command"));
            CHECK_FALSE(rekey.outcome());
            feed(vector.get<std::string>("answer_frame") + "* tail");
            REQUIRE(rekey.outcome());
            REQUIRE(*rekey.outcome());
            CHECK(rekey.outcome()->value().serial == serial);
            CHECK(rekey.outcome()->value().key ==
                  parse_long_term_key(vector.get<std::string>("new_long_term_key_base64")).value());
            CHECK_FALSE(rekey.key_may_have_changed());
            CHECK(rekey.deadline() == Time::max());
            CHECK(output().empty());
        }
    }
}

TEST_CASE("long-term re-key: another device than expected is left alone") {
    Pair p(Serial{});
    p.output();
    p.feed(p.serial);
    CHECK(p.error_says("this Entropy Key is NwBvBlg3OTBJORFD, not AAAAAAAAAAAAAAAA"));
    CHECK(p.output().empty());
    CHECK_FALSE(p.rekey.key_may_have_changed());
}

TEST_CASE("long-term re-key: the device refuses, or cannot") {
    Pair p;
    p.feed(p.serial + p.unlocked);
    SUBCASE("wrong master key") {
        p.feed(p.refused);
        CHECK(p.error_says("Nonce MAC does not match"));
        CHECK(p.error_says("master key"));
    }
    SUBCASE("what it says cannot write on a terminal") {
        p.feed(p.device.text(PacketType::long_term_failed, "\x1b[2Jlocked\xff"));
        CHECK(p.error_says("\"?[2Jlocked?\""));
    }
    SUBCASE("generators failed") {
        p.feed(p.bad);
        CHECK(p.error_says("generators have failed"));
    }
    CHECK_FALSE(p.rekey.key_may_have_changed());
    p.feed(p.done); // nothing more is believed
    CHECK_FALSE(p.error().empty());
}

TEST_CASE("long-term re-key: no answer: three tries, then an error that says where it stopped") {
    SUBCASE("to the reset") {
        Pair p;
        for (int i = 0; i < 3; ++i) {
            CHECK_FALSE(p.rekey.outcome());
            CHECK(p.output() == "\x03");
            p.time_out();
        }
        CHECK(p.error_says("did not tell its serial number, 3 times"));
        CHECK_FALSE(p.rekey.key_may_have_changed());
    }
    SUBCASE("to the MAC") {
        Pair p;
        for (int i = 0; i < 3; ++i) {
            p.feed(p.serial);
            p.time_out();
        }
        CHECK(p.error_says("NwBvBlg3OTBJORFD did not answer"));
        CHECK_FALSE(p.rekey.key_may_have_changed());
    }
    SUBCASE("to the nonce: the device may have a new key that we do not know") {
        Pair p;
        for (int i = 0; i < 3; ++i) {
            p.feed(p.serial + p.unlocked);
            p.time_out();
        }
        CHECK(p.error_says("did not answer"));
        CHECK(p.rekey.key_may_have_changed());
    }
    SUBCASE("an answer at the last try") {
        Pair p;
        for (int i = 0; i < 2; ++i) {
            p.feed(p.serial + p.unlocked);
            p.time_out();
        }
        p.feed(p.serial + p.unlocked + p.done);
        REQUIRE(p.rekey.outcome());
        CHECK(*p.rekey.outcome());
        CHECK_FALSE(p.rekey.key_may_have_changed());
    }
    SUBCASE("only W frames") {
        Pair p;
        for (int i = 0; i < 3; ++i)
            p.feed(p.serial + p.misunderstood);
        CHECK(p.error_says("does not understand the command, 3 times"));
    }
}

TEST_CASE("long-term re-key: nothing happens before the deadline") {
    Pair p;
    p.output();
    p.rekey.handle_timeout(p.rekey.deadline() - 1ns);
    CHECK(p.output().empty());
}

TEST_CASE("long-term re-key: frames in the wrong place or with a wrong MAC are ignored") {
    Pair p;
    CHECK(p.output() == "\x03");
    p.feed(p.unlocked + p.done + p.refused + p.bad + spoilt(p.serial) + "garbage");
    CHECK(p.output().empty());
    p.feed(p.serial);
    CHECK(p.output().size() == 9);
    p.feed(p.done + p.serial + spoilt(p.unlocked) + spoilt(p.refused) + p.device.info("T03143"));
    CHECK(p.output().empty());
    p.feed(p.unlocked + p.unlocked);
    CHECK(p.output().size() == 18);
    p.feed(spoilt(p.done));
    CHECK_FALSE(p.rekey.outcome());
    p.feed(p.done);
    CHECK(p.rekey.outcome());
}

TEST_CASE(
    "long-term re-key: an answer to another nonce, or a reset in the middle, is not taken for the key") {
    Pair p;
    p.feed(p.serial + p.unlocked);
    p.output();
    p.feed(p.device.binary(PacketType::long_term_key, 11, device_nonce));
    CHECK_FALSE(p.rekey.outcome());
    CHECK(p.output() == "\x03");
    p.feed(p.serial + p.unlocked);
    p.output();
    p.feed(p.serial);
    CHECK(p.output() == "\x03");
    p.feed(p.done); // late: of the try before
    CHECK_FALSE(p.rekey.outcome());
    p.feed(p.serial + p.unlocked + p.done);
    CHECK(p.rekey.outcome());
}

TEST_CASE("long-term re-key: a later protocol version is named") {
    Pair p;
    p.feed(p.device.binary(PacketType::serial, 1, some_serial.bytes));
    CHECK(p.error_says("protocol version 1"));
}

TEST_CASE("long-term re-key: any garbage ends in an outcome") {
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
        Pair p;
        const std::string frames[] = {p.serial,       p.unlocked, p.done, p.misunderstood,
                                      spoilt(p.done), "* M>",     "\xff"};
        int timeouts = 0;
        for (int i = 0; !p.rekey.outcome() && i < 1000; ++i) {
            p.output();
            if (random() % 8 == 0) {
                p.time_out();
                ++timeouts;
            } else {
                p.feed(frames[random() % std::size(frames)]);
            }
        }
        CHECK(p.rekey.outcome());
        CHECK(timeouts <= 3);
    }
}
