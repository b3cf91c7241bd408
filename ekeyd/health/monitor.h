// The health of one source: tests every byte before any of its block is released. Promise 1.
//
//     samples -> [ RCT, APT on every byte ] -> block of 2,500 bytes -> [ FIPS 140-2 ] -> released
//
// The startup test of SP 800-90B 4.3 (at least 1,024 samples before any is used) is the first block after the
// construction or restart(): it is held like any other and must pass all tests, with no rate to excuse it. A
// perfect source fails it 8 times in 10,000 starts; its owner starts it again.
//
// Noise that is bad passes a block now and then, and whoever tries it often enough would be lucky. So what
// failed is remembered over a restart: the window of the rate goes on, and with each failed block in it the
// startup test is longer by startup_a_failed blocks, all of which must pass (up to most_startup blocks). What
// passes half of its blocks gets through it after one failed block once in 32 tries, after five once in two
// million. A perfect source is delayed by it: after one failed block by 3.3 s at 3 kB/s.
//
// A claim of H bits a byte fails a source that is just as good as claimed once in 2^30 bytes or less often.
// For 3 kB/s that is once in 4 days in the worst case; uniform bytes under a claim of 7 bits fail once in
// 2^40 bytes (11 years).
//
// Holds untested entropy: keep it in locked memory (make_locked).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "ekeyd/health/adaptive_proportion.h"
#include "ekeyd/health/fips140_2.h"
#include "ekeyd/health/fips_rate.h"
#include "ekeyd/health/repetition_count.h"
#include "protocol/bytes.h"

namespace ekey::health {

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
    fips_rate,  // too many FIPS 140-2 blocks failed, or the first one
    silence,    // nothing came (told by the source's owner)
    device,     // the device reports a failure (told by the source's owner)
};
std::string_view name(Failure failure); // "repetition count", "adaptive proportion", ...

struct Settings {
    double min_entropy = 7.0; // claimed bits a byte, 0..8: sets the cut-offs (health/cutoffs.h: floor for 0)
    bool fips = true;         // off for raw noise, which is not meant to look uniform
};

// Since construction; restart() keeps them.
struct Counters {
    std::uint64_t bytes_tested = 0, bytes_released = 0;
    std::uint64_t bytes_discarded = 0;                  // tested or, after a failure, not even that
    std::uint64_t blocks_passed = 0, blocks_failed = 0; // FIPS 140-2
    std::uint64_t monobit = 0, poker = 0, runs = 0, long_run = 0,
                  continuous = 0; // blocks that failed each test
    std::uint64_t repetition = 0, proportion = 0, fips_rate = 0, silence = 0,
                  device = 0; // failures of each kind
};

class Monitor {
  public:
    explicit Monitor(const Settings& settings);
    ~Monitor(); // wipes
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    // Consumes bytes up to the end of the current block, and returns how many. When that completes a block
    // and the block passed, `released` is that block (valid until the next call), otherwise it is empty. In
    // State::failed everything is consumed and discarded. The outcome does not depend on how the samples are
    // cut into calls.
    std::size_t feed(ByteView samples, ByteView& released);

    // Discards all that is held and enters State::failed. For what the tests cannot see. `detail`: one
    // sentence. In State::failed already, it is counted, and the first reason stays; of one kind the newest.
    void fail(Failure why, std::string detail);
    // Discards all that is held and begins the startup test again; what failed is remembered.
    void restart();
    // The same for another source in its place, or one that somebody has seen to: nothing is remembered.
    void begin_anew();

    State state() const { return state_; }
    Failure failure() const { return failure_; } // why the state is failed, or why it last was
    // One sentence of it, with figures and without samples; empty when nothing ever failed.
    const std::string& detail() const { return detail_; }
    const Counters& counters() const { return counters_; }
    std::size_t bytes_held() const {
        return released_ ? 0 : fill_;
    } // tested, neither released nor discarded yet

    static constexpr std::size_t startup_a_failed = 4, most_startup = 64; // blocks

  private:
    bool test_samples(ByteView samples);
    bool test_block();
    void discard_held();

    Settings settings_;
    State state_ = State::starting;
    Failure failure_ = Failure::none;
    bool released_ = false;        // the whole block was handed out by the last feed()
    std::size_t fill_ = 0;         // bytes of block_ in use
    std::size_t startup_left_ = 1; // blocks of the startup test that have not passed yet
    RepetitionCount repetition_;
    AdaptiveProportion proportion_;
    FipsRate fips_rate_;
    Fips140_2 fips_;
    std::array<Byte, block_size> block_{};
    Counters counters_;
    std::string detail_;
};

} // namespace ekey::health
