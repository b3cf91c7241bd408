#include "ekeyd/stage.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

// A source whose noise failed the tests is given another chance: even a perfect one fails now and then (see
// the false-alarm figures in health/), and nobody may be there to reset it. What it sends meanwhile is thrown
// away, and the startup test stands before its first byte. The pause doubles, so that a bad source is not
// tried all day.
constexpr Duration first_retry = std::chrono::seconds(10);
constexpr Duration last_retry = std::chrono::minutes(10);

// Silence is looked for this often within the limit, so that it is noticed at most a quarter late.
constexpr unsigned ticks_per_silence = 4;

// What is mixed in and not credited never fills the pool, and would be asked for without end; what a source
// sends that has failed is thrown away. So much in a second does what the one can do: a whole block of the
// tests, and more than the pool is made of in that time.
constexpr Duration breath = std::chrono::seconds(1);
constexpr std::size_t uncredited_a_breath = 4096; // bytes

std::string decimal(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
}

} // namespace

Stage::Stage(Loop& loop, Identity identity, std::unique_ptr<Source> source, const SourceClaims& claims,
             Duration silence, StageOutlet& outlet)
    : identity_(std::move(identity)), source_(std::move(source)), claims_(claims), outlet_(outlet),
      monitor_(make_locked<health::Monitor>(health::Settings{claims.min_entropy, claims.fips})),
      quiet_tick_(loop), retry_(loop), breath_(loop), quiet_period_(silence / ticks_per_silence),
      retry_after_(first_retry) {
    quiet_tick_.bind<&Stage::on_quiet_tick>(this);
    retry_.bind<&Stage::on_retry>(this);
    breath_.bind<&Stage::on_breath>(this);
}

Stage::~Stage() {
    if (capture_ != nullptr) {
        capture_->on_capture_ended("the source was removed");
    }
}

Result<void> Stage::start(bool must_open) {
    quiet_tick_.every(quiet_period_);
    return source_->start(*this, must_open);
}

// A source that gave nothing since it was last let go fills no pool. It goes on being listened to, so that
// its silence is noticed, however often others fill the pool.
void Stage::pause(bool on) {
    to_pause_ = on;
    if (!on) {
        let_go();
    } else if (heard_since_let_go_ && !is_wanted()) {
        halt();
    }
}

// Though the pool is full: for its startup test, which says whether it is healthy, and for a capture.
bool Stage::is_wanted() const {
    return capture_ != nullptr || monitor_->state() == health::State::starting;
}

void Stage::halt() {
    paused_ = true;
    source_->pause(true);
}

void Stage::let_go() {
    if (breath_.active()) {
        return;
    }
    heard_since_let_go_ = false;
    if (std::exchange(paused_, false)) {
        quiet_ticks_ = 0;
    }
    source_->pause(false);
}

void Stage::wake() {
    if (paused_) {
        let_go();
    }
}

void Stage::begin_startup_test() {
    monitor_->restart();
    wake();
}

void Stage::reset() {
    retry_.stop();
    retry_after_ = first_retry;
    monitor_->begin_anew();
    wake();
    source_->reset();
}

void Stage::on_samples(ByteView raw) {
    heard_ = true;
    if (capture_ != nullptr) {
        raw = divert(raw);
    }
    if (monitor_->state() == health::State::failed && monitor_->failure() == health::Failure::silence) {
        begin_startup_test(); // it speaks again
    }
    heard_since_let_go_ = true;
    test(raw);
    const bool counts = min_entropy() > 0 && monitor_->state() != health::State::failed;
    uncredited_ = counts ? 0 : uncredited_ + raw.size();
    if (uncredited_ >= uncredited_a_breath && !breath_.active()) {
        breath_.start(breath);
    }
    if (!paused_ && (breath_.active() || (to_pause_ && !is_wanted()))) {
        halt();
    }
}

void Stage::on_breath() {
    uncredited_ = 0;
    if (!to_pause_ || is_wanted()) {
        let_go();
    }
}

void Stage::test(ByteView samples) {
    while (!samples.empty()) {
        const health::State before = monitor_->state();
        ByteView released;
        samples = samples.subspan(monitor_->feed(samples, released));
        const health::State after = monitor_->state();
        if (after != before && after == health::State::failed) {
            after_failure();
        } else if (after != before && after == health::State::healthy) {
            healthy_since_ = Loop::now();
            log::notice("source passed its startup test", {{"source", source_->status().path}});
        }
        if (!released.empty()) {
            outlet_.on_released(*this, released);
        }
    }
}

void Stage::on_failure(health::Failure why, std::string detail) {
    if (monitor_->state() == health::State::failed && monitor_->failure() == why &&
        monitor_->detail() == detail) {
        return;
    }
    monitor_->fail(why, std::move(detail));
    after_failure();
}

void Stage::after_failure() {
    outlet_.on_stage_failed(*this);
    const health::Failure why = monitor_->failure();
    log::error(
        "source has failed, what it had in flight is thrown away",
        {{"source", source_->status().path}, {"failure", health::name(why)}, {"detail", monitor_->detail()}});
    retry_.stop();
    if (why == health::Failure::silence || why == health::Failure::device) {
        return; // the driver says when a new session begins
    }
    if (Loop::now() - healthy_since_ > last_retry) {
        retry_after_ = first_retry;
    }
    retry_.start(retry_after_);
    retry_after_ = std::min(retry_after_ * 2, last_retry);
}

void Stage::on_restart() {
    // A session that begins anew must not cut short the pause after failed noise.
    if (!retry_.active()) {
        begin_startup_test();
    }
}

void Stage::on_retry() {
    log::notice("source is tried again", {{"source", source_->status().path}});
    begin_startup_test();
}

void Stage::on_quiet_tick() {
    quiet_ticks_ = heard_ || paused_ ? 0 : quiet_ticks_ + 1;
    heard_ = false;
    if (quiet_ticks_ == ticks_per_silence && monitor_->state() != health::State::failed) {
        const double seconds = std::chrono::duration<double>(quiet_period_ * ticks_per_silence).count();
        on_failure(health::Failure::silence, "no noise came for " + decimal(seconds) + " seconds");
    }
}

// ---- captures

Result<void> Stage::begin_capture(std::uint64_t bytes, control::CaptureReceiver& receiver) {
    if (capture_ != nullptr) {
        return fail("source " + std::to_string(identity_.number) + " is being captured already");
    }
    capture_ = &receiver;
    capture_left_ = bytes;
    wake();
    return {};
}

void Stage::end_capture(const control::CaptureReceiver& receiver) {
    if (capture_ == &receiver) {
        capture_ = nullptr;
    }
}

// Gives the capture its part of the samples and returns the rest.
ByteView Stage::divert(ByteView samples) {
    const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(capture_left_, samples.size()));
    capture_left_ -= part;
    control::CaptureReceiver* receiver = capture_;
    if (capture_left_ == 0) {
        capture_ = nullptr; // it may begin another one from the call below
    }
    receiver->on_captured(samples.first(part));
    return samples.subspan(part);
}

// ---- what people see

SourceStatus Stage::status() const {
    SourceStatus status = source_->status();
    if (status.ok && monitor_->state() != health::State::healthy) {
        status.ok = false;
        if (monitor_->state() == health::State::starting) {
            status.word = "Startup test";
        } else if (monitor_->failure() == health::Failure::silence) {
            status.word = "Silent";
        } else {
            status.word = "Health test failed";
        }
    }
    return status;
}

Statistics Stage::statistics() const {
    Statistics out;
    source_->add_statistics(out);
    const auto& c = monitor_->counters();
    out.emplace_back("HealthState", std::string(health::name(monitor_->state())));
    out.emplace_back("MinEntropyPerByte", decimal(min_entropy()));
    out.emplace_back("BytesReleased", std::to_string(c.bytes_released));
    out.emplace_back("BytesDiscarded", std::to_string(c.bytes_discarded));
    return out;
}

Statistics Stage::health() const {
    const auto& c = monitor_->counters();
    const SourceStatus status = source_->status();
    Statistics out;
    const auto count = [&](const char* name, std::uint64_t value) {
        out.emplace_back(name, std::to_string(value));
    };
    count("Source", identity_.number);
    out.emplace_back("State", std::string(health::name(monitor_->state())));
    out.emplace_back("Failure", std::string(monitor_->state() == health::State::failed
                                                ? health::name(monitor_->failure())
                                                : health::name(health::Failure::none)));
    out.emplace_back("Detail",
                     monitor_->state() == health::State::failed ? monitor_->detail() : std::string());
    out.emplace_back("LastFailure", std::string(health::name(monitor_->failure())));
    out.emplace_back("Status", this->status().word);
    out.emplace_back("Path", status.path);
    out.emplace_back("SerialNo", status.serial);
    out.emplace_back("MinEntropyPerByte", decimal(min_entropy()));
    count("BytesTested", c.bytes_tested);
    count("BytesReleased", c.bytes_released);
    count("BytesDiscarded", c.bytes_discarded);
    count("FipsBlocksPassed", c.blocks_passed);
    count("FipsBlocksFailed", c.blocks_failed);
    count("FipsMonobit", c.monobit);
    count("FipsPoker", c.poker);
    count("FipsRuns", c.runs);
    count("FipsLongRun", c.long_run);
    count("FipsContinuous", c.continuous);
    count("RepetitionFailures", c.repetition);
    count("ProportionFailures", c.proportion);
    count("SilenceFailures", c.silence);
    count("DeviceFailures", c.device);
    out.emplace_back("Address", identity_.address);
    count("FipsRateFailures", c.fips_rate);
    if (const auto session = source_->figures().session) {
        out.emplace_back("Session", session->state);
    }
    return out;
}

metrics::SourceFigures Stage::figures() const {
    metrics::SourceFigures out;
    out.number = identity_.number;
    out.address = identity_.address;
    out.status = status();
    out.min_entropy = min_entropy();
    out.health = monitor_->state();
    out.failure = monitor_->failure();
    out.detail = monitor_->detail();
    out.counters = monitor_->counters();
    out.device = source_->figures();
    return out;
}

bool Stage::is(std::string_view id) const {
    const SourceStatus status = source_->status();
    return id == std::to_string(identity_.number) || (!status.serial.empty() && id == status.serial) ||
           id == status.path || id == identity_.address;
}

} // namespace ekey
