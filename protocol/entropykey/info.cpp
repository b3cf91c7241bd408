// The text of info frames, and the names of failures.
#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstdio>

#include "protocol/entropykey/packet.h"

namespace ekey::entropykey {

namespace {

// Exactly `size` numbers with colons between and nothing else. What is no number, or above 32 bits, is
// malformed.
template <std::size_t size>
std::optional<std::array<std::uint32_t, size>> numbers(std::string_view text) {
    std::array<std::uint32_t, size> values{};
    const char* at = text.data();
    const char* const end = text.data() + text.size();
    for (std::size_t i = 0; i < size; ++i) {
        if (i != 0 && (at == end || *at++ != ':'))
            return std::nullopt;
        const auto [next, error] = std::from_chars(at, end, values[i]);
        if (error != std::errc{})
            return std::nullopt;
        at = next;
    }
    return at == end ? std::optional(values) : std::nullopt;
}

// Eight numbers, a colon, and the failure code, which is a character and not a number.
std::optional<GeneratorReport> generators(std::string_view text) {
    if (text.size() < 2 || text[text.size() - 2] != ':')
        return std::nullopt;
    const auto v = numbers<8>(text.substr(0, text.size() - 2));
    if (!v)
        return std::nullopt;
    const auto& n = *v;
    return GeneratorReport{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], text.back()};
}

void decode_block(std::string_view block, InfoReport& report) {
    const std::string_view rest = block.substr(1);
    switch (block.front()) {
    case 'T':
        if (const auto v = numbers<1>(rest))
            report.temperature = (*v)[0];
        break;
    case 'V':
        if (const auto v = numbers<1>(rest))
            report.voltage = (*v)[0];
        break;
    case 'F':
        if (const auto v = numbers<5>(rest))
            report.fips = FipsReport{(*v)[0], (*v)[1], (*v)[2], (*v)[3], (*v)[4]};
        break;
    case 'S':
        if (const auto v = generators(rest))
            report.generators = *v;
        break;
    default: break;
    }
}

// Five digits at least, as the devices write them.
void append(std::string& text, std::string_view before, std::uint32_t value) {
    std::array<char, 12> digits;
    const int size = std::snprintf(digits.data(), digits.size(), "%05u", value);
    text.append(before).append(digits.data(), static_cast<std::size_t>(size));
}

} // namespace

InfoReport decode_info(std::string_view text) {
    InfoReport report;
    while (!text.empty()) {
        const std::size_t size = std::min(text.find(' '), text.size());
        if (size != 0)
            decode_block(text.substr(0, size), report);
        text.remove_prefix(std::min(size + 1, text.size()));
    }
    return report;
}

std::string encode_info(const InfoReport& report) {
    std::string text;
    if (report.temperature)
        append(text, "T", *report.temperature);
    if (report.voltage)
        append(text, text.empty() ? "V" : " V", *report.voltage);
    if (const auto& f = report.fips) {
        append(text, text.empty() ? "F" : " F", f->blocks);
        for (const std::uint32_t value : {f->failures, f->monobit, f->poker, f->runs})
            append(text, ":", value);
    }
    if (const auto& g = report.generators) {
        append(text, text.empty() ? "S" : " S", g->raw_bytes);
        for (const std::uint32_t value : {g->raw_left, g->raw_right, g->raw_xor, g->debiased_left_bytes,
                                          g->debiased_left, g->debiased_right_bytes, g->debiased_right})
            append(text, ":", value);
        text += ':';
        text += g->failure;
    }
    assert(text.size() <= payload_size);
    return text;
}

FailureName failure_name(char code) {
    switch (code) {
    case '0': return {"no failure", "efm_ok"};
    case '1': return {"left generator is no longer random", "efm_raw_left_bad"};
    case '2': return {"right generator is no longer random", "efm_raw_right_bad"};
    case '3': return {"generators have become correlated", "efm_raw_xor_bad"};
    case '4': return {"left generator is strongly biased", "efm_debias_left_bad"};
    case '5': return {"right generator is strongly biased", "efm_debias_right_bad"};
    case '7': return {"temperature is too low", "efm_temp_too_low"};
    case '8': return {"temperature is too high", "efm_temp_too_high"};
    case '9': return {"too many blocks failed the FIPS 140-2 tests", "efm_fips1402_threshold_exceeded"};
    case 'A': return {"voltage is too low", "efm_volt_too_low"};
    case 'B': return {"voltage is too high", "efm_volt_too_high"};
    default: return {"generators have failed, the device does not say how", "efm_unknown"};
    }
}

} // namespace ekey::entropykey
