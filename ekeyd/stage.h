// One source in the pipeline: the driver, its health tests, what becomes of it when it fails, and captures.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "ekeyd/control/subject.h"
#include "ekeyd/health/monitor.h"
#include "ekeyd/metrics/figures.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/runtime/secret.h"
#include "ekeyd/sources/registry.h"
#include "ekeyd/sources/source.h"

namespace ekey {

class Stage;

// Where blocks go that have passed. Promise 1: nothing else ever leaves a stage, captures apart.
class StageOutlet {
  public:
    virtual void on_released(const Stage& stage, ByteView block) = 0; // secret; valid during the call
    virtual void on_stage_failed(const Stage& stage) = 0;             // take back its credit

  protected:
    ~StageOutlet() = default;
};

class Stage final : private SourceOwner {
  public:
    struct Identity {
        unsigned number;         // what lists show, 1 and up
        std::size_t credit_slot; // its number in the conditioner
        std::string address;     // as it was given
    };
    Stage(Loop& loop, Identity identity, std::unique_ptr<Source> source, const SourceClaims& claims,
          Duration silence, StageOutlet& outlet);
    ~Stage();

    Result<void> start(bool must_open); // see Source::start
    void pause(bool on);
    void reset(); // begins anew at once: the driver's session and the health tests
    void keyring_changed() { source_->keyring_changed(); }

    const Identity& identity() const { return identity_; }
    // Bits a byte that are counted now.
    double min_entropy() const { return std::min(claims_.min_entropy, source_->most_min_entropy()); }
    SourceStatus status() const;
    Statistics statistics() const;
    Statistics health() const; // name and value
    metrics::SourceFigures figures() const;
    bool is(std::string_view id) const; // a number, a serial or a path names it

    Result<void> begin_capture(std::uint64_t bytes, control::CaptureReceiver& receiver);
    void end_capture(const control::CaptureReceiver& receiver);

  private:
    void on_samples(ByteView raw) override;
    void on_failure(health::Failure why, std::string detail) override;
    void on_restart() override;

    bool is_wanted() const;
    void halt();
    void let_go();
    void wake(); // from a pause that it is wanted in
    void begin_startup_test();
    void test(ByteView samples);
    ByteView divert(ByteView samples);
    void after_failure();
    void on_quiet_tick();
    void on_retry();
    void on_breath();

    Identity identity_;
    std::unique_ptr<Source> source_;
    SourceClaims claims_;
    StageOutlet& outlet_;
    Locked<health::Monitor> monitor_;

    Timer quiet_tick_, retry_, breath_;
    std::size_t uncredited_ = 0; // bytes since the last breath
    Duration quiet_period_, retry_after_;
    Time healthy_since_{};
    unsigned quiet_ticks_ = 0;
    bool heard_ = false;              // since the last tick
    bool heard_since_let_go_ = false; // since it was last let go on after a pause
    bool to_pause_ = false, paused_ = false;

    control::CaptureReceiver* capture_ = nullptr;
    std::uint64_t capture_left_ = 0; // bytes
};

} // namespace ekey
