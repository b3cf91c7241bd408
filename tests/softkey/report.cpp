#include "tests/softkey/report.h"

#include <algorithm>

namespace ekey::softkey {

namespace {

// As in the published example frames: 315.0 K and 3.254 V.
constexpr std::uint32_t usual_temperature = 3150, usual_voltage = 3254;
constexpr std::uint32_t high_temperature = 3631, low_temperature = 2531; // 90 and -20 degrees Celsius
constexpr std::uint32_t high_voltage = 3700, low_voltage = 2900;

constexpr std::uint32_t five_digits = 100'000; // what the frame has room for

// "These indicators will reset every 80Kbit of raw data read" (README.protocol, Information Frames).
constexpr std::uint64_t raw_cycle = 10'000;

// Shannons a byte in the published example (23751 of 8052 bytes, and so on), in hundredths.
constexpr std::uint64_t raw_left = 295, raw_right = 295, raw_xor = 293, debiased_left = 294,
                        debiased_right = 299;

std::uint32_t shannons(std::uint64_t bytes, std::uint64_t hundredths) {
    return static_cast<std::uint32_t>(bytes * hundredths / 100);
}

} // namespace

entropykey::InfoReport Report::next() {
    switch (turn_++ % kinds) {
    case 0: return climate();
    case 1: return fips();
    default: return generators();
    }
}

entropykey::InfoReport Report::climate() const {
    entropykey::InfoReport report;
    // It warms up by 0.5 K and back as it works.
    const auto drift = static_cast<std::uint32_t>(packets_ / packets_in_block % 10);
    report.temperature = usual_temperature + std::min(drift, 10 - drift);
    report.voltage = usual_voltage;
    switch (failure_) {
    case '7': report.temperature = low_temperature; break;
    case '8': report.temperature = high_temperature; break;
    case 'A': report.voltage = low_voltage; break;
    case 'B': report.voltage = high_voltage; break;
    default: break;
    }
    return report;
}

entropykey::InfoReport Report::fips() const {
    entropykey::InfoReport report;
    if (counted_) {
        report.fips = counted_;
        for (std::uint32_t* count : {&report.fips->blocks, &report.fips->failures, &report.fips->monobit,
                                     &report.fips->poker, &report.fips->runs}) {
            *count %= five_digits;
        }
        return report;
    }
    const auto blocks = static_cast<std::uint32_t>(packets_ / packets_in_block % five_digits);
    report.fips = entropykey::FipsReport{blocks, 0, 0, 0, 0};
    if (failure_ == '9') {
        report.fips = entropykey::FipsReport{blocks + 20, 20, 8, 7, 5};
    }
    return report;
}

entropykey::InfoReport Report::generators() const {
    const auto sent = static_cast<std::uint64_t>(packets_) * entropykey::block_size;
    // A real key never reports on no bytes at all: its start-up has read some.
    const std::uint64_t raw = std::max<std::uint64_t>(sent % raw_cycle, entropykey::block_size);
    const std::uint64_t left = std::max<std::uint64_t>(sent * 7 / 8 % raw_cycle, entropykey::block_size);
    const std::uint64_t right = std::max<std::uint64_t>(sent * 15 / 16 % raw_cycle, entropykey::block_size);
    entropykey::InfoReport report;
    report.generators = entropykey::GeneratorReport{static_cast<std::uint32_t>(raw),
                                                    shannons(raw, raw_left),
                                                    shannons(raw, raw_right),
                                                    shannons(raw, raw_xor),
                                                    static_cast<std::uint32_t>(left),
                                                    shannons(left, debiased_left),
                                                    static_cast<std::uint32_t>(right),
                                                    shannons(right, debiased_right),
                                                    failure_};
    return report;
}

} // namespace ekey::softkey
