// The software Entropy Key against vectors made with an independent implementation of the protocol, and its
// faults one by one.
#include <doctest/doctest.h>

#include <deque>
#include <map>

#include "protocol/entropykey/packet.h"
#include "tests/softkey/device.h"
#include "tests/support/entropy_key_vectors.h"

namespace ekey::softkey {

using namespace std::chrono_literals;
using entropykey::frame_size;
using entropykey::FrameBytes;
using entropykey::PacketType;
using test::entropy_key_sessions;
using test::hex_at;
using test::Vectors;

namespace {

// Gives out prepared bytes, then a pattern.
class PreparedNoise : public Noise {
  public:
    std::deque<Byte> bytes;
    bool endless = true;
    bool fill(ByteSpan out) override {
        if (!endless && bytes.size() < out.size()) {
            return false;
        }
        for (Byte& byte : out) {
            byte = bytes.empty() ? ++pattern_ : bytes.front();
            if (!bytes.empty()) {
                bytes.pop_front();
            }
        }
        return true;
    }
    void add(const std::vector<Byte>& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

  private:
    Byte pattern_ = 0;
};

struct Bench final : DeviceOwner {
    Identity identity;
    PreparedNoise noise, nonces;
    std::vector<Byte> plaintext;
    std::vector<std::string> notes;
    std::optional<std::optional<Duration>> unplugged;
    std::optional<Device> device;
    Time now{1h};

    void on_plaintext(ByteView bytes) override {
        plaintext.insert(plaintext.end(), bytes.begin(), bytes.end());
    }
    void on_note(const std::string& sentence) override { notes.push_back(sentence); }
    void on_unplugged(std::optional<Duration> back_after) override { unplugged = back_after; }

    // rate 1000: a packet a millisecond, the first block after 78 ms.
    explicit Bench(std::vector<std::string> faults = {}, double rate = 1000) {
        const auto session = entropy_key_sessions().front().second;
        identity.serial = test::serial_at(session);
        identity.long_term_key =
            entropykey::parse_long_term_key(session.get<std::string>("long_term_key_base64")).value();
        identity.master_key =
            entropykey::parse_master_key(session.get<std::string>("long_term_rekey.master_key_base64"))
                .value();
        std::vector<Fault> parsed;
        for (const auto& text : faults) {
            parsed.push_back(parse_fault(text).value());
        }
        device.emplace(identity, noise, nonces, parsed, rate, *this);
        device->power_on(now);
    }

    std::string output() {
        const std::string out(as_text(device->pending_output()));
        device->consume_output(out.size(), now);
        return out;
    }
    std::string say(std::string_view command) {
        device->receive(as_bytes(command), now);
        return output();
    }
    // Lets time pass with a host that reads all, and returns what it read.
    std::string pass(Duration time) {
        const Time end = now + time;
        std::string out = output();
        while (device->deadline() <= end) {
            now = std::max(now, device->deadline());
            device->handle_timeout(0, now);
            out += output();
        }
        now = end;
        return out;
    }
    // Opens a session and returns once `packets` entropy packets were read, with all frames after the K
    // frame.
    std::string session(std::size_t packets) {
        say("\x03");
        say("KAAAA.");
        std::string out;
        while (count(out, 'E') < packets) {
            out += pass(1ms);
            REQUIRE(now < Time(2h));
        }
        return out;
    }
    static std::size_t count(const std::string& out, char type) {
        std::size_t found = 0;
        for (auto at = out.find("* "); at != std::string::npos; at = out.find("* ", at + 1)) {
            found += at + 2 < out.size() && out[at + 2] == type ? 1 : 0;
        }
        return found;
    }
};

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

TEST_CASE("each fault of a frame") {
    SUBCASE("bad-mac: that frame only, and its plaintext is not logged") {
        Bench bench({"bad-mac@3"});
        bench.session(10);
        CHECK(bench.plaintext.size() >= 9 * 32);
        CHECK(bench.plaintext.size() % 32 == 0);
        CHECK(bench.plaintext[2 * 32] + 2 * 32 == bench.plaintext[3 * 32]); // packet 3 is left out
    }
    SUBCASE("replay: the same 64 bytes twice") {
        Bench bench({"replay@2"});
        const std::string out = bench.session(6);
        std::vector<std::string> frames;
        for (auto at = out.find("* E!"); at != std::string::npos; at = out.find("* E!", at + 1)) {
            frames.push_back(out.substr(at, frame_size));
        }
        CHECK(frames[2] == frames[3]);
        CHECK(frames[1] != frames[2]);
        CHECK(bench.plaintext.size() == (frames.size() - 1) * 32);
    }
    SUBCASE("short and garbage: as many bytes as were asked for") {
        Bench cut({"short=7@1"});
        const std::string out = cut.session(3);
        CHECK(out.size() % frame_size == 7);
        Bench more({"garbage=5@1"});
        CHECK(more.session(3).size() % frame_size == 5);
    }
    SUBCASE("drop: the sequence number is used up") {
        Bench bench({"drop@1-2"});
        const std::string out = bench.session(3);
        const auto second = out.find("* E!", out.find("* E!") + 1);
        CHECK(out.substr(second + 4, 2) == "DA"); // 3, least significant six bits first
    }
}

TEST_CASE("each fault of the noise") {
    const auto block = [](const Bench& bench, std::size_t number) {
        return std::vector<Byte>(bench.plaintext.begin() + static_cast<std::ptrdiff_t>(number * 32),
                                 bench.plaintext.begin() + static_cast<std::ptrdiff_t>(number * 32 + 32));
    };
    Bench stuck({"stuck@2-3"});
    stuck.session(6);
    CHECK(block(stuck, 1) != std::vector<Byte>(32));
    CHECK(block(stuck, 2) == std::vector<Byte>(32));
    CHECK(block(stuck, 3) == std::vector<Byte>(32));
    CHECK(block(stuck, 4) != std::vector<Byte>(32));
    REQUIRE(stuck.notes.size() == 2);
    CHECK(stuck.notes[0] == "fault stuck@2-3 begins at packet 2, plaintext byte 64");
    CHECK(stuck.notes[1] == "fault stuck@2-3 ends at packet 4, plaintext byte 128");

    Bench same({"stuck-block@2"});
    same.session(6);
    CHECK(block(same, 1) != block(same, 2));
    CHECK(block(same, 2) == block(same, 3));
    CHECK(block(same, 2) == block(same, 5));

    Bench biased({"biased@0"}, 0);
    biased.session(2000);
    std::size_t ones = 0;
    for (const Byte byte : biased.plaintext) {
        ones += static_cast<std::size_t>(__builtin_popcount(byte));
    }
    // The prepared pattern counts up, so neighbours are alike and the OR has fewer ones than of true noise.
    CHECK(ones > biased.plaintext.size() * 4 * 11 / 10);
}

TEST_CASE("each fault of the whole device") {
    SUBCASE("silent, and back") {
        Bench bench({"silent@5,2"});
        bench.session(5);
        CHECK(bench.pass(1900ms).empty());
        CHECK(bench.say("\x03").empty());
        CHECK(Bench::count(bench.pass(1s), 'E') > 100);
    }
    SUBCASE("unplugged") {
        Bench bench({"unplugged@5,3"});
        bench.session(5);
        bench.pass(100ms);
        REQUIRE(bench.unplugged);
        CHECK(*bench.unplugged == Duration(3s));
        CHECK_FALSE(bench.device->powered());
        CHECK(bench.pass(10s).empty());
        CHECK(bench.say("\x03").empty());
        bench.device->power_on(bench.now);
        CHECK(bench.say("\x03").starts_with("* S!"));
    }
    SUBCASE("generators failed: a report, no more packets, B for a re-key, even after a reset; not after "
            "power-up") {
        Bench bench({"generators-failed=4@5"});
        bench.session(5);
        const std::string out = bench.pass(5s);
        CHECK(Bench::count(out, 'E') == 0);
        const auto report = out.find("* I>S");
        REQUIRE(report != std::string::npos);
        CHECK(out[report + 53] == '4');
        CHECK(bench.say("KAAAA.").starts_with("* B>"));
        bench.say("\x03");
        CHECK(bench.say("KAAAA.").starts_with("* B>"));
        bench.device->power_on(bench.now);
        bench.say("\x03");
        CHECK(bench.say("KAAAA.").starts_with("* K!"));
        CHECK(bench.plaintext.size() == 5 * 32);
    }
    SUBCASE("temperature: code 8, and the temperature fits") {
        Bench bench({"temperature@1"});
        bench.session(1);
        const std::string out = bench.pass(100ms);
        CHECK(out[out.find("* I>S") + 53] == '8');
        CHECK(out.find("* I>T03631") != std::string::npos);
    }
    SUBCASE("no answer, twice") {
        Bench bench({"no-answer=2@0"});
        bench.say("\x03");
        CHECK(bench.say("KAAAA.").empty());
        CHECK(bench.say("KAAAA.").empty());
        CHECK(bench.say("KAAAA.").starts_with("* K!"));
    }
    SUBCASE("the noise ends") {
        Bench bench;
        bench.noise.endless = false;
        bench.noise.add(std::vector<Byte>(3 * 32 + 31, 1));
        bench.session(3);
        CHECK(Bench::count(bench.pass(1s), 'E') == 0);
        REQUIRE(bench.notes.size() == 1);
        CHECK(bench.plaintext.size() == 3 * 32);
    }
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

TEST_CASE(
    "seeded noise: RFC 8439's key stream (appendix A.1, test vector 1: key and nonce zero); streams differ") {
    const auto noise = seeded_noise(Seed{}, 0);
    std::array<Byte, 8> first{};
    REQUIRE(noise->fill(first));
    CHECK(test::to_vector(first) == test::from_hex("76b8e0ada0f13d90"));
    std::array<Byte, 8> other{};
    REQUIRE(seeded_noise(Seed{}, 1)->fill(other));
    CHECK(other != first);
    // In pieces of any size it is the same stream, across its buffer too.
    std::vector<Byte> whole(5000), pieces(5000);
    seeded_noise(Seed{}, 0)->fill(whole);
    const auto again = seeded_noise(Seed{}, 0);
    for (std::size_t at = 0; at < pieces.size(); at += 1000) {
        again->fill(ByteSpan(pieces).subspan(at, 999));
        again->fill(ByteSpan(pieces).subspan(at + 999, 1));
    }
    CHECK(whole == pieces);
    for (const char* wrong : {"", "1", "zz", "00 ", "0x00"}) {
        CHECK_FALSE(parse_seed(wrong));
    }
    CHECK_FALSE(parse_seed(std::string(66, '0')));
    CHECK(parse_seed("ff")->front() == 0xff);
}

TEST_CASE("faults as they are written") {
    const auto full = parse_fault("garbage=100@10-20").value();
    CHECK(full.kind == FaultKind::garbage);
    CHECK(full.number == 100);
    CHECK(full.first == 10);
    CHECK(full.last == 20);
    CHECK(parse_fault("bad-mac@7")->last == 7);
    CHECK(parse_fault("stuck@7")->last == Fault::for_ever);
    CHECK(parse_fault("unplugged@0,2.5")->back_after == Duration(2500ms));
    CHECK_FALSE(parse_fault("unplugged@0")->back_after);
    CHECK(parse_fault("generators-failed=B@1")->code == 'B');
    for (const char* wrong : {"",
                              "@",
                              "stuck",
                              "stuck@",
                              "stuck@x",
                              "stuck@-1",
                              "stuck@5-4",
                              "stuck@1,2",
                              "stuck=1@1",
                              "foo@1",
                              "stuck@1 ",
                              "generators-failed=6@1",
                              "generators-failed=0@1",
                              "generators-failed=@1",
                              "garbage=0@1",
                              "garbage=4097@1",
                              "short=64@1",
                              "silent@1-2",
                              "silent@1,",
                              "silent@1,-1",
                              "silent@1,nan",
                              "stuck@99999999999999999999",
                              "stuck@0x1",
                              "=@",
                              "stuck@1-"}) {
        CAPTURE(wrong);
        const auto fault = parse_fault(wrong);
        REQUIRE_FALSE(fault);
        CHECK(fault.error().what.find(wrong) != std::string::npos);
    }
}

} // namespace ekey::softkey
