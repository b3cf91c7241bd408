// The health of one source: tests every byte before any of its block is released. Promise 1.
//
//     samples -> [ RCT, APT on every byte ] -> block of 2,500 bytes -> [ FIPS 140-2 ] -> released
//
// Holds untested entropy: keep it in locked memory (make_locked).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/bytes.h"

namespace ekey::health {

inline constexpr std::size_t block_size = 2500; // FIPS 140-2: 20,000 bits

enum class State {
    starting, // the startup test runs: nothing has been released since the (re)start
    healthy,
    failed, // nothing is released until restart()
};
std::string_view name(State state);

enum class Failure {
    none,
    repetition, // SP 800-90B 4.4.1
    proportion, // SP 800-90B 4.4.2
    fips_rate,  // too many FIPS 140-2 blocks failed
    silence,    // nothing came (told by the source's owner)
    device,     // the device reports a failure (told by the source's owner)
};
std::string_view name(Failure failure); // "repetition count", "adaptive proportion", ...

struct Settings {
    double min_entropy = 7.0; // claimed bits a byte, 0..8: sets the cut-offs
    bool fips = true;         // off for raw noise, which is not meant to look uniform
};

struct Counters {
    std::uint64_t bytes_tested = 0, bytes_released = 0, bytes_discarded = 0;
    std::uint64_t blocks_passed = 0, blocks_failed = 0; // FIPS 140-2
    std::uint64_t monobit = 0, poker = 0, runs = 0, long_run = 0, continuous = 0;
    std::uint64_t repetition = 0, proportion = 0, silence = 0, device = 0; // failures of each kind
};

class Monitor {
  public:
    explicit Monitor(const Settings& settings);
    ~Monitor(); // wipes

    // Consumes bytes up to the end of the current block, and returns how many. When that completes a block and
    // the block passed, `released` is that block (valid until the next call), otherwise it is empty.
    // In State::failed everything is consumed and discarded.
    std::size_t feed(ByteView samples, ByteView& released);

    // Discards all that is held and enters State::failed. For what the tests cannot see.
    void fail(Failure why, std::string detail);
    // Discards all that is held and begins the startup test again.
    void restart();

    State state() const;
    Failure failure() const; // why the state is failed, or why it last was
    const std::string& detail() const; // one sentence of it, with figures; empty when nothing ever failed
    const Counters& counters() const;
};

} // namespace ekey::health
