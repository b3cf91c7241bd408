// The software Entropy Key against vectors made with an independent implementation of the protocol.
#include <doctest/doctest.h>

#include <map>

#include "tests/unit/softkey/bench.h"

namespace ekey::softkey {

using entropykey::frame_size;
using test::entropy_key_sessions;
using test::hex_at;
using test::Vectors;

namespace {

std::string text(const Vectors& vector, const char* name) {
    return vector.get<std::string>(name);
}

} // namespace

TEST_CASE("every frame of a session is the vector's, byte by byte and whole") {
    for (const auto& [key, vector] : entropy_key_sessions()) {
        for (const bool piecewise : {false, true}) {
            Bench bench;
            bench.identity.serial = test::serial_at(vector);
            bench.identity.long_term_key =
                entropykey::parse_long_term_key(text(vector, "long_term_key_base64")).value();
            bench.device.emplace(bench.identity, bench.noise, bench.nonces, std::vector<Fault>{}, 1000,
                                 bench);
            bench.device->power_on(bench.now);
            CHECK(bench.say("\x03") == text(vector, "serial_frame"));
            const std::string asked = bench.pass(100ms);
            CHECK(asked == text(vector, "rekey_request_frame"));
            // The device's nonce stands in the frame: after "* K!" and the sub-code, 32 bytes in base64.
            const auto frame = test::frame_at(vector, "session_key_frame");
            const auto packet = entropykey::decode_packet(frame).value();
            bench.nonces.add({packet.payload.bytes.begin(), packet.payload.bytes.begin() + 32});
            std::map<unsigned, std::string> frames;
            for (unsigned sequence = 0, at = 0; sequence <= 4095; ++sequence) {
                std::vector<Byte> plain(32, static_cast<Byte>(sequence));
                for (const auto& [k, entropy] : vector.get_child("entropy")) {
                    if (std::stoul(text(entropy, "sequence")) == sequence) {
                        plain = hex_at(entropy, "plaintext");
                        frames[sequence] = text(entropy, "frame");
                        ++at;
                    }
                }
                bench.noise.add(plain);
            }
            const std::string command = text(vector, "host_command");
            std::string answer;
            for (std::size_t i = 0; i < command.size(); i += piecewise ? 1 : command.size()) {
                answer += bench.say(command.substr(i, piecewise ? 1 : command.size()));
            }
            CHECK(answer.substr(0, frame_size) == text(vector, "session_key_frame"));
            std::string entropy;
            const std::string all = answer.substr(frame_size) + bench.pass(5s);
            for (std::size_t i = 0; i + frame_size <= all.size(); i += frame_size) {
                if (all[i + 2] == 'E') {
                    entropy += all.substr(i, frame_size);
                }
            }
            REQUIRE(entropy.size() == 4096 * frame_size); // then it waits for a re-key
            for (const auto& [sequence, expected] : frames) {
                CHECK(entropy.substr(sequence * frame_size, frame_size) == expected);
            }
            CHECK(Bench::count(all, 'k') >= 1);
            CHECK(bench.plaintext.size() == 4096 * 32);
        }
    }
}

TEST_CASE("a long-term re-key gives the vector's frame, and the next session uses the new key") {
    for (const auto& [key, vector] : entropy_key_sessions()) {
        const auto& rekey = vector.get_child("long_term_rekey");
        Bench bench;
        bench.identity.serial = test::serial_at(vector);
        bench.identity.master_key = entropykey::parse_master_key(text(rekey, "master_key_base64")).value();
        bench.device.emplace(bench.identity, bench.noise, bench.nonces, std::vector<Fault>{}, 1000, bench);
        bench.device->power_on(bench.now);
        const auto frame = test::frame_at(rekey, "answer_frame");
        const auto packet = entropykey::decode_packet(frame).value();
        const std::vector<Byte> nonce(packet.payload.bytes.begin(), packet.payload.bytes.begin() + 32);
        // The vector was made in its session: its MAC is under that session's key. So only the contents agree
        // when the device has none.
        bench.say("\x03");
        CHECK(bench.say(text(rekey, "mac_command")).substr(0, 4) == "* M>");
        bench.nonces.add(nonce);
        const std::string answer = bench.say(text(rekey, "rekey_command"));
        REQUIRE(answer.size() == frame_size);
        CHECK(answer.substr(0, 54) == text(rekey, "answer_frame").substr(0, 54));

        // Under the new key: the frame after K! verifies with the session key that a host would derive.
        const auto new_key = entropykey::parse_long_term_key(text(rekey, "new_long_term_key_base64")).value();
        bench.nonces.add(nonce);
        const std::string session = bench.say("KAAAA.");
        const std::array<Byte, 3> ours{};
        const auto session_key = entropykey::derive_session_key(
            bench.identity.serial, new_key, std::span<const Byte, 32>(nonce.data(), 32), ours);
        REQUIRE(session.size() >= 2 * frame_size);
        CHECK(entropykey::FrameMac(bench.identity.serial, session_key)
                  .verify(test::frame_from(session.substr(frame_size, frame_size))));
    }
}

TEST_CASE("a new long-term key is kept before the host hears of it; one that cannot be kept is refused") {
    const auto vector = entropy_key_sessions().front().second.get_child("long_term_rekey");
    const auto new_key = entropykey::parse_long_term_key(text(vector, "new_long_term_key_base64")).value();
    const auto packet = entropykey::decode_packet(test::frame_at(vector, "answer_frame")).value();
    const std::vector<Byte> nonce(packet.payload.bytes.begin(), packet.payload.bytes.begin() + 32);
    Bench bench;
    bench.say("\x03");
    bench.keeps = false;
    bench.nonces.add(nonce);
    bench.say(text(vector, "mac_command"));
    CHECK(bench.say(text(vector, "rekey_command")).starts_with("* l>"));
    CHECK(bench.kept == new_key);
    bench.kept.reset();
    bench.keeps = true;
    bench.nonces.add(nonce);
    bench.say(text(vector, "mac_command"));
    CHECK(bench.say(text(vector, "rekey_command")).starts_with("* L!"));
    CHECK(bench.kept == new_key);
}

TEST_CASE("a long-term re-key is refused without M, with a wrong MAC, and a second time") {
    const auto vector = entropy_key_sessions().front().second.get_child("long_term_rekey");
    const std::string mac = text(vector, "mac_command"), rekey = text(vector, "rekey_command");
    Bench bench;
    bench.say("\x03");
    CHECK(bench.say(rekey).starts_with("* l>"));
    bench.say(mac);
    CHECK(bench.say("LAAAA.").starts_with("* l>"));
    CHECK(bench.say(rekey).starts_with("* l>")); // the wrong one has used up the M
    bench.say(mac);
    CHECK(bench.say(rekey).starts_with("* L!"));
    CHECK(bench.say(rekey).starts_with("* l>"));
    bench.say(mac);
    bench.say("\x03");
    CHECK(bench.say(rekey).starts_with("* l>"));
}

TEST_CASE("unexpected bytes: a W frame that names the byte, and the rest of the USB packet is dropped") {
    Bench bench;
    CHECK(bench.say("eR").starts_with("* W>Unknown Input Character 0x65 "));
    CHECK(Bench::count(bench.say("eRRR"), 'S') == 0);
    CHECK(Bench::count(bench.say(std::string(64, 'x') + "R"), 'S') == 1); // the next packet is read again
    for (const char* wrong :
         {"K.AAAA", "KAAA.", "KA=AA.", "KAA==AAAA.", "KAA=A.", "M=AAAAAAA", "MAAAAAAA=", "K AAAA."}) {
        CAPTURE(wrong);
        CHECK(Bench::count(bench.say(wrong), 'W') == 1);
        CHECK(bench.say("R").starts_with("* S!")); // and it is idle again
    }
    // Nonces: none at all is legal, 4,095 bytes are, one more is not.
    CHECK(bench.say("K.").starts_with("* K!AA"));
    std::string longest = "K";
    for (int i = 0; i < 4095 / 3; ++i) {
        longest += "AAAA";
    }
    CHECK(bench.say(longest + ".").starts_with("* K!//"));
    bench.say("\x03");
    CHECK(Bench::count(bench.say(longest + "AAAA."), 'K') == 0);
    CHECK(bench.say("\x03").find("* S!") != std::string::npos); // 0x03 always, even within a command
    bench.say("KAAA");
    CHECK(bench.say("\x03").starts_with("* S!"));
}

TEST_CASE("nobody reads: packets are held back, none is lost, answers still come, memory is bounded") {
    Bench bench({}, 0);
    bench.say("\x03");
    bench.device->receive(as_bytes("KAAAA."), bench.now);
    for (int i = 0; i < 1000; ++i) {
        bench.now += 10ms;
        bench.device->handle_timeout(4096, bench.now);
    }
    CHECK(bench.device->pending_output().size() <= Device::output_limit + 4 * frame_size);
    const std::string out = bench.pass(0ms);
    std::string sequences;
    unsigned expected = 0;
    for (std::size_t i = 0; i + frame_size <= out.size(); i += frame_size) {
        if (out[i + 2] == 'E') {
            CHECK(entropykey::decode_sub_code(static_cast<Byte>(out[i + 4]), static_cast<Byte>(out[i + 5])) ==
                  expected++);
        }
    }
    CHECK(expected == 4096);
}

TEST_CASE("the pace: so many packets a second, and no rush after a pause") {
    Bench bench({}, 86);
    bench.session(1);
    CHECK(Bench::count(bench.pass(10s), 'E') >= 855);
    CHECK(Bench::count(bench.pass(10s), 'E') <= 865);
    bench.now += 10min; // nobody reads
    bench.device->handle_timeout(4096, bench.now);
    CHECK(Bench::count(bench.pass(1s), 'E') <= 86 + 10);
}

} // namespace ekey::softkey
