#include <doctest/doctest.h>

#include "protocol/entropykey/packet.h"

using namespace ekey::entropykey;

namespace {

bool empty(const InfoReport& report) {
    return !report.temperature && !report.voltage && !report.fips && !report.generators;
}

} // namespace

TEST_CASE("info: the vendor's examples") {
    const auto supply = decode_info("T03143 V03254                                     ");
    CHECK(supply.temperature == 3143);
    CHECK(supply.voltage == 3254);
    CHECK_FALSE(supply.fips);
    CHECK_FALSE(supply.generators);
    CHECK(encode_info(supply) == "T03143 V03254");

    const auto fips = decode_info("F07342:00000:00000:00000:00000                    ");
    REQUIRE(fips.fips);
    CHECK(fips.fips->blocks == 7342);
    CHECK(fips.fips->failures == 0);
    CHECK(encode_info(fips) == "F07342:00000:00000:00000:00000");

    const std::string_view full = "S08052:23751:23792:23584:07112:20876:08063:24150:0";
    const auto state = decode_info(full);
    REQUIRE(state.generators);
    CHECK(state.generators->raw_bytes == 8052);
    CHECK(state.generators->raw_left == 23751);
    CHECK(state.generators->raw_right == 23792);
    CHECK(state.generators->raw_xor == 23584);
    CHECK(state.generators->debiased_left_bytes == 7112);
    CHECK(state.generators->debiased_left == 20876);
    CHECK(state.generators->debiased_right_bytes == 8063);
    CHECK(state.generators->debiased_right == 24150);
    CHECK(state.generators->failure == '0');
    CHECK(encode_info(state) == full);
}

TEST_CASE("info: each number of a FIPS block has its own name") {
    const auto fips = decode_info("F1:2:3:4:5").fips;
    REQUIRE(fips);
    CHECK(fips->blocks == 1);
    CHECK(fips->failures == 2);
    CHECK(fips->monobit == 3);
    CHECK(fips->poker == 4);
    CHECK(fips->runs == 5);
}

TEST_CASE("info: a malformed or unknown block spoils only itself") {
    const auto report = decode_info("T V-1 X99 F1:2:3 S1:2 T290 F1:2:3:4:5 junk");
    CHECK(report.temperature == 290);
    CHECK_FALSE(report.voltage);
    CHECK(report.fips);
    CHECK_FALSE(report.generators);

    for (const char* bad : {"",
                            " ",
                            "T",
                            "T ",
                            "Tx",
                            "T1x",
                            "T:",
                            "T1:2",
                            "T-1",
                            "T+1",
                            "T4294967296",
                            "T99999999999999999999",
                            "V",
                            "F",
                            "F1:2:3:4",
                            "F1:2:3:4:5:6",
                            "F1:2:3:4:",
                            "F:2:3:4:5",
                            "F1::3:4:5",
                            "S",
                            "S0",
                            "S:0",
                            "S1:2:3:4:5:6:7:8",
                            "S1:2:3:4:5:6:7:8:",
                            "S1:2:3:4:5:6:7:8:00",
                            "S1:2:3:4:5:6:7:0",
                            "S1:2:3:4:5:6:7:8:9:0",
                            ":::::",
                            "\n",
                            "t1"})
        CHECK_MESSAGE(empty(decode_info(bad)), bad);
    CHECK(decode_info("T4294967295").temperature == 4294967295u);
    CHECK(decode_info("S1:2:3:4:5:6:7:8:B").generators->failure == 'B');
}

TEST_CASE("info: failures have a sentence and 1.1.5's word") {
    CHECK(failure_name('0').token == "efm_ok");
    CHECK(failure_name('1').token == "efm_raw_left_bad");
    CHECK(failure_name('B').token == "efm_volt_too_high");
    for (const char code : std::string_view("0123456789ABC?\xff"))
        CHECK_FALSE(failure_name(code).sentence.empty());
}
