#include "ekeyd/sources/entropy_key_statistics.h"

#include <cctype>
#include <cmath>
#include <cstdio>
#include <limits>

#include "protocol/entropykey/packet.h"

namespace ekey {

namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

// As Lua 5.1 prints a number ("%.14g"), which is what clients of 1.1.5 have always read.
std::string number(double value) {
    if (std::isnan(value)) {
        return "nan"; // never "-nan"
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.14g", value);
    return text;
}

double rate(double amount, double seconds) {
    return seconds > 0 ? std::floor(amount / seconds) : 0;
}

double per_byte(std::uint32_t shannons, std::uint32_t bytes) {
    // Two digits, rounded down, as 1.1.5 shows them.
    return bytes == 0 ? 0 : std::floor(100.0 * shannons / bytes) / 100;
}

} // namespace

entropykey::Counters since(const entropykey::Counters& before, const entropykey::Counters& now) {
    using C = entropykey::Counters;
    entropykey::Counters part = now;
    for (const auto field :
         {&C::bytes_read, &C::bytes_written, &C::frames_ok, &C::framing_errors, &C::skipped_bytes,
          &C::packets_ok, &C::packet_errors, &C::replayed, &C::missed, &C::resets, &C::rekeys, &C::nonces,
          &C::unexpected_input, &C::entropy_bytes, &C::frame_byte_last}) {
        part.*field = now.*field > before.*field ? now.*field - before.*field : 0;
    }
    return part;
}

void FipsPace::note(std::uint32_t blocks, Time now) {
    if (!first_ || blocks < newest_->blocks) { // less than before: it was switched off and on
        first_ = {blocks, now};
    }
    newest_ = {blocks, now};
}

double FipsPace::per_second() const {
    if (!first_ || newest_->at == first_->at) {
        return unknown;
    }
    return (newest_->blocks - first_->blocks) /
           std::chrono::duration<double>(newest_->at - first_->at).count();
}

void add_entropy_key_statistics(const entropykey::Counters& c, const entropykey::InfoReport& info,
                                double seconds_open, double fips_blocks_per_second, Statistics& out) {
    const auto add = [&](const char* name, double value) { out.emplace_back(name, number(value)); };
    const auto count = [&](const char* name, std::uint64_t value) {
        out.emplace_back(name, std::to_string(value));
    };

    count("BytesRead", c.bytes_read);
    count("BytesWritten", c.bytes_written);
    count("ConnectionNonces", c.nonces);
    count("ConnectionPackets", c.packets_ok + c.packet_errors);
    count("ConnectionRekeys", c.rekeys);
    count("ConnectionResets", c.resets);
    add("ConnectionTime", std::floor(seconds_open));
    add("EntropyRate", rate(static_cast<double>(c.entropy_bytes) * 8, seconds_open));
    count("FrameByteLast", c.frame_byte_last);
    count("FramesOk", c.frames_ok);
    count("FramingErrors", c.framing_errors);
    count("PacketErrors", c.packet_errors);
    count("PacketOK", c.packets_ok);
    add("ReadRate", rate(static_cast<double>(c.bytes_read) * 8, seconds_open));
    count("TotalEntropy", c.entropy_bytes);
    add("WriteRate", rate(static_cast<double>(c.bytes_written) * 8, seconds_open));

    // What the device reports of itself. A figure that it has not reported is "nan", which is still a number
    // to who reads it; the 0 K of 1.1.5 made dead keys look cold.
    const double kelvin = info.temperature ? *info.temperature / 10.0 : unknown;
    add("KeyTemperatureK", kelvin);
    add("KeyTemperatureC", kelvin - 273.15);
    add("KeyTemperatureF", (kelvin - 273.15) * 9 / 5 + 32);
    add("KeyVoltage", info.voltage ? *info.voltage / 1000.0 : unknown);
    add("FipsFrameRate", std::floor(100 * fips_blocks_per_second) / 100);
    const auto& g = info.generators;
    add("KeyRawShannonPerByteL", g ? per_byte(g->raw_left, g->raw_bytes) : unknown);
    add("KeyRawShannonPerByteR", g ? per_byte(g->raw_right, g->raw_bytes) : unknown);
    add("KeyRawShannonPerByteX", g ? per_byte(g->raw_xor, g->raw_bytes) : unknown);
    add("KeyDbsdShannonPerByteL", g ? per_byte(g->debiased_left, g->debiased_left_bytes) : unknown);
    add("KeyDbsdShannonPerByteR", g ? per_byte(g->debiased_right, g->debiased_right_bytes) : unknown);
    const char failure = info.generators ? info.generators->failure : '0';
    const auto words = entropykey::failure_name(failure);
    out.emplace_back("KeyRawBadness", std::string(1, failure));
    out.emplace_back("KeyShortBadness", std::string(words.token));
    std::string sentence(words.sentence); // 1.1.5 begins it with a capital
    sentence[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(sentence[0])));
    out.emplace_back("KeyEnglishBadness", sentence);

    // New since 1.1.5.
    count("PacketsReplayed", c.replayed);
    count("PacketsMissed", c.missed);
    count("BytesSkipped", c.skipped_bytes);
    count("UnexpectedInput", c.unexpected_input);
}

DeviceFigures device_figures(const entropykey::Counters& c, const entropykey::InfoReport& info) {
    DeviceFigures out;
    if (info.temperature) {
        out.kelvin = *info.temperature / 10.0;
    }
    if (info.voltage) {
        out.volts = *info.voltage / 1000.0;
    }
    if (const auto& g = info.generators) {
        out.shannon = {per_byte(g->raw_left, g->raw_bytes), per_byte(g->raw_right, g->raw_bytes),
                       per_byte(g->raw_xor, g->raw_bytes), per_byte(g->debiased_left, g->debiased_left_bytes),
                       per_byte(g->debiased_right, g->debiased_right_bytes)};
        if (g->failure != '0') {
            out.failure = entropykey::failure_name(g->failure).sentence;
        }
    }
    DeviceFigures::Session session{};
    session.packets = c.packets_ok;
    session.bad_packets = c.packet_errors;
    session.replayed = c.replayed;
    session.missed = c.missed;
    session.framing_errors = c.framing_errors;
    session.resets = c.resets;
    session.rekeys = c.rekeys;
    out.session = session;
    return out;
}

} // namespace ekey
