// What softkey does wrong, and when: KIND[=VALUE]@FIRST[-LAST][,SECONDS]. Counted in entropy packets from 0
// over the whole run, so that a fault comes at the same place in every run.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey::softkey {

enum class FaultKind {
    // One frame each, by default one frame only.
    bad_mac,     // a character of the MAC changed
    replay,      // the frame is sent a second time
    garbage,     // VALUE bytes of garbage before the frame (default 37)
    short_frame, // only the first VALUE bytes of the frame (default 40)
    drop,        // the frame is lost; its sequence number is used up
    // The noise, by default from FIRST on for ever. The device's own tests are taken to be blind to it.
    stuck,       // all zero
    stuck_block, // the same 32 bytes again and again
    biased,      // 75 % ones
    // The whole device.
    silent,    // sends nothing; back after SECONDS, or never
    unplugged, // the line is gone, in the middle of a frame when VALUE bytes of it are to be sent; back
               // after SECONDS, or never
    generators_failed, // stops, reports failure code VALUE (default 1), answers a re-key with a B frame
    temperature,       // the same for too high a temperature (code 8)
    no_answer,         // the next VALUE session re-keys (default: all) stay unanswered
    // The line.
    short_read, // what the host reads comes in pieces of VALUE bytes (default 20); nothing is lost
    stall,      // USB only: the next VALUE bulk reads (default: all) end in a STALL
    mute,       // USB only: no bulk transfer is answered; again after SECONDS, or never
};
std::string_view name(FaultKind kind);

struct Fault {
    static constexpr std::uint64_t for_ever = std::numeric_limits<std::uint64_t>::max();

    FaultKind kind{};
    std::uint64_t first = 0, last = 0;   // entropy packets, both included
    std::optional<std::uint64_t> number; // VALUE of garbage, short, unplugged and the like
    char code = '1';                     // VALUE of generators-failed: the S report's code
    std::optional<Duration> back_after;  // silent, unplugged, mute
    std::string text;                    // as it was written

    bool covers(std::uint64_t packet) const { return first <= packet && packet <= last; }
};

// Errors name the part that is wrong and list the kinds.
Result<Fault> parse_fault(std::string_view text);

} // namespace ekey::softkey
