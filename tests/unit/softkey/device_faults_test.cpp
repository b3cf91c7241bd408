// The faults of the software Entropy Key, one by one.
#include <doctest/doctest.h>

#include "tests/unit/softkey/bench.h"

namespace ekey::softkey {

using entropykey::frame_size;

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
