// Noise of a character device or FIFO, tested and conditioned before a byte of it is given out: what makes a
// softkey fit to be a key that somebody uses. Reading off the loop, tests and accounting are those of ekeyd.
//
//     source -> health::Monitor, whole blocks -> Conditioner -> packets
//
// A host takes what an Entropy Key sends for the output of the key's own hash, and credits it with 7 bits a
// byte (ekeyd/sources/entropy_key.h). A generator of which less is known must not pass for that as it is.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ekeyd/conditioner/conditioner.h"
#include "ekeyd/health/monitor.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/runtime/secret.h"
#include "ekeyd/sources/source.h"
#include "tests/softkey/noise.h"

namespace ekey::softkey {

// A failure of our tests as the S report of an Entropy Key words it (its failure codes, README.protocol). A
// softkey has one generator: the left one.
char failure_code(health::Failure failure);

class TestedNoise final : public Noise, SourceOwner {
  public:
    // `source` delivers the raw bytes; Settings' claim is the source's default.
    explicit TestedNoise(std::unique_ptr<Source> source);

    // Errors: the source cannot be opened.
    Result<void> start();

    bool fill(ByteSpan out) override;
    bool ended() const override { return false; }
    void power_on() override;
    char failure() const override;
    std::optional<entropykey::FipsReport> fips() const override;
    void on_change(std::function<void()> changed) override { changed_ = std::move(changed); }

  private:
    // About a second of packets; reading stops while as many bytes wait. A tested block makes fewer than it
    // has, and one more may be complete already when reading stops.
    static constexpr std::size_t enough = 2500;
    static constexpr std::size_t capacity = enough + 2 * health::block_size;
    // Uniform noise fails the startup test 8 times in 10,000 (health/monitor.h); three times in a row is what
    // health/fips_rate.h calls a failed source.
    static constexpr unsigned startup_tries = 3;

    void on_samples(ByteView raw) override;
    void on_failure(health::Failure why, std::string detail) override;
    void on_restart() override {} // what was tested stays tested; a failed source waits for power_on()
    void condition(ByteView released);
    void discard();
    void tell();

    std::unique_ptr<Source> source_;
    Locked<health::Monitor> monitor_;
    Locked<Conditioner> conditioner_;
    SecretBytes ready_; // bytes [begin_, end_) may be given out
    std::size_t begin_ = 0, end_ = 0;
    unsigned tries_left_ = startup_tries;
    health::Counters at_power_on_;
    std::function<void()> changed_;
    bool beginning_ = false;
};

// Opens `path`, a character device or a FIFO. Errors name it.
Result<std::unique_ptr<Noise>> device_noise(Loop& loop, const std::string& path);

} // namespace ekey::softkey
