// What a device reports of itself, and how the session with it goes: as numbers, for whoever draws or exports
// them. What is not known is not there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/bytes.h"

namespace ekey {

struct DeviceFigures {
    std::optional<double> kelvin, volts;
    std::string failure; // the device's own words on what is wrong with it; empty when nothing is

    struct Shannon { // the device's own estimates, bits a byte
        double raw_left, raw_right, raw_xor, debiased_left, debiased_right;
    };
    std::optional<Shannon> shannon;

    struct Session {       // counted since the daemon started, `open` apart
        std::string state; // as name(entropykey::State), or "closed"
        Duration open{};   // since the device was opened
        std::uint64_t packets = 0, bad_packets = 0, replayed = 0, missed = 0;
        std::uint64_t framing_errors = 0, resets = 0, rekeys = 0;
    };
    std::optional<Session> session;
};

} // namespace ekey
