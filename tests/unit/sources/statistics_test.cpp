#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "ekeyd/sources/entropy_key_statistics.h"

using namespace ekey;

namespace {

std::map<std::string, std::string> statistics(const entropykey::Counters& counters,
                                              const entropykey::InfoReport& info, double seconds,
                                              double fips_blocks_per_second = FipsPace().per_second()) {
    Statistics out;
    add_entropy_key_statistics(counters, info, seconds, fips_blocks_per_second, out);
    return {out.begin(), out.end()};
}

} // namespace

// The figures are those that ekeyd 1.1.5 showed for a key that had sent the same.
TEST_CASE("statistics have the names, units and roundings of ekeyd 1.1.5") {
    entropykey::Counters c;
    c.bytes_read = 73856;
    c.bytes_written = 19;
    c.frames_ok = 1154;
    c.packets_ok = 1153;
    c.packet_errors = 1;
    c.frame_byte_last = 73792;
    c.resets = c.nonces = c.rekeys = 1;
    c.entropy_bytes = 36576;
    entropykey::InfoReport info;
    info.temperature = 3152;
    info.voltage = 3254;
    info.generators = entropykey::GeneratorReport{1000, 2949, 2949, 2929, 1000, 2939, 1000, 2989, '0'};
    const auto s = statistics(c, info, 4.0);
    const std::map<std::string, std::string> expected{{"BytesRead", "73856"},
                                                      {"BytesWritten", "19"},
                                                      {"ConnectionNonces", "1"},
                                                      {"ConnectionPackets", "1154"},
                                                      {"ConnectionRekeys", "1"},
                                                      {"ConnectionResets", "1"},
                                                      {"ConnectionTime", "4"},
                                                      {"EntropyRate", "73152"},
                                                      {"FrameByteLast", "73792"},
                                                      {"FramesOk", "1154"},
                                                      {"FramingErrors", "0"},
                                                      {"KeyDbsdShannonPerByteL", "2.93"},
                                                      {"KeyDbsdShannonPerByteR", "2.98"},
                                                      {"KeyEnglishBadness", "No failure"},
                                                      {"KeyRawBadness", "0"},
                                                      {"KeyRawShannonPerByteL", "2.94"},
                                                      {"KeyRawShannonPerByteR", "2.94"},
                                                      {"KeyRawShannonPerByteX", "2.92"},
                                                      {"KeyShortBadness", "efm_ok"},
                                                      {"KeyTemperatureC", "42.05"},
                                                      {"KeyTemperatureF", "107.69"},
                                                      {"KeyTemperatureK", "315.2"},
                                                      {"KeyVoltage", "3.254"},
                                                      {"PacketErrors", "1"},
                                                      {"PacketOK", "1153"},
                                                      {"ReadRate", "147712"},
                                                      {"TotalEntropy", "36576"},
                                                      {"WriteRate", "38"}};
    for (const auto& entry : expected) {
        const auto &name = entry.first, value = entry.second;
        INFO(name);
        REQUIRE(s.contains(name));
        CHECK(s.at(name) == value);
    }
}

TEST_CASE("what a key has not reported is nan, neither absent nor a cold 0") {
    const auto s = statistics({}, {}, 0);
    for (const char* name : {"KeyTemperatureC", "KeyTemperatureF", "KeyTemperatureK", "KeyVoltage",
                             "FipsFrameRate", "KeyRawShannonPerByteL", "KeyDbsdShannonPerByteR"}) {
        INFO(name);
        REQUIRE(s.contains(name));
        CHECK(s.at(name) == "nan");
    }
    CHECK(s.at("EntropyRate") == "0");
}

TEST_CASE("blocks tested a second: of what was tested meanwhile, however long the device had run before") {
    const Time start{std::chrono::hours(1)};
    const auto seconds = [](int n) { return std::chrono::seconds(n); };
    FipsPace pace;
    CHECK(std::isnan(pace.per_second()));
    pace.note(7342, start);
    CHECK(std::isnan(pace.per_second()));
    pace.note(7362, start + seconds(2));
    CHECK(pace.per_second() == 10);
    pace.note(7392, start + seconds(10));
    CHECK(pace.per_second() == 5);
    CHECK(statistics({}, {}, 10, 5.0 / 3).at("FipsFrameRate") == "1.66");

    pace.note(4, start + seconds(20)); // it was switched off and on
    CHECK(std::isnan(pace.per_second()));
    pace.note(6, start + seconds(21));
    CHECK(pace.per_second() == 2);
}
