#include "tests/softkey/tested_noise.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "ekeyd/sources/device.h"

namespace ekey::softkey {

char failure_code(health::Failure failure) {
    switch (failure) {
    case health::Failure::none: return '0';
    case health::Failure::proportion: return '4'; // left generator strongly biased
    case health::Failure::fips_rate: return '9';  // too many FIPS 140-2 failures
    case health::Failure::repetition:
    case health::Failure::silence:
    case health::Failure::device: break;
    }
    return '1'; // left generator no longer random
}

TestedNoise::TestedNoise(std::unique_ptr<Source> source)
    : source_(std::move(source)), monitor_(make_locked<health::Monitor>(health::Settings{
                                      .min_entropy = source_->default_min_entropy(), .fips = true})),
      conditioner_(make_locked<Conditioner>()), ready_(capacity) {}

Result<void> TestedNoise::start() {
    if (auto started = source_->start(*this, true); !started) {
        return started;
    }
    return failure() == '0' ? Result<void>{} : fail(monitor_->detail());
}

bool TestedNoise::fill(ByteSpan out) {
    if (end_ - begin_ < out.size()) {
        return false;
    }
    const ByteSpan taken = ready_.span().subspan(begin_, out.size());
    std::ranges::copy(taken, out.begin());
    wipe(taken);
    begin_ += out.size();
    if (end_ - begin_ < enough) {
        source_->pause(false);
    }
    return true;
}

void TestedNoise::power_on() {
    beginning_ = true; // whoever switched us on asks how we are
    const bool failed = failure() != '0';
    discard();
    at_power_on_ = monitor_->counters();
    tries_left_ = startup_tries;
    monitor_->begin_anew();
    if (failed) {
        source_->reset();
    }
    source_->pause(false);
    beginning_ = false;
}

char TestedNoise::failure() const {
    return monitor_->state() == health::State::failed ? failure_code(monitor_->failure()) : '0';
}

std::optional<entropykey::FipsReport> TestedNoise::fips() const {
    const health::Counters &now = monitor_->counters(), &then = at_power_on_;
    const auto since = [](std::uint64_t after, std::uint64_t before) {
        return static_cast<std::uint32_t>(after - before);
    };
    return entropykey::FipsReport{
        .blocks = since(now.blocks_passed + now.blocks_failed, then.blocks_passed + then.blocks_failed),
        .failures = since(now.blocks_failed, then.blocks_failed),
        .monobit = since(now.monobit, then.monobit),
        .poker = since(now.poker, then.poker),
        .runs = since(now.runs, then.runs)};
}

void TestedNoise::on_samples(ByteView raw) {
    while (!raw.empty() && monitor_->state() != health::State::failed) {
        const bool starting = monitor_->state() == health::State::starting;
        ByteView released;
        raw = raw.subspan(monitor_->feed(raw, released));
        condition(released);
        if (monitor_->state() == health::State::failed) {
            if (starting && monitor_->failure() == health::Failure::fips_rate && --tries_left_ > 0) {
                monitor_->begin_anew();
                continue;
            }
            discard();
            source_->pause(true);
            tell();
        } else if (!released.empty()) {
            tell();
        }
    }
}

void TestedNoise::on_failure(health::Failure why, std::string detail) {
    const bool failed = failure() != '0';
    monitor_->fail(why, std::move(detail));
    discard();
    if (!failed) {
        tell();
    }
}

void TestedNoise::condition(ByteView released) {
    std::memmove(ready_.data(), ready_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    while (!released.empty()) {
        released = released.subspan(conditioner_->add(0, released, source_->default_min_entropy()));
        if (conditioner_->ready()) {
            assert(end_ + Conditioner::output_size <= capacity); // a paused source stops
            conditioner_->extract(ready_.span().subspan(end_).first<Conditioner::output_size>());
            end_ += Conditioner::output_size;
        }
    }
    wipe(ready_.span().subspan(end_));
    if (end_ >= enough) {
        source_->pause(true);
    }
}

void TestedNoise::discard() {
    wipe(ready_.span());
    begin_ = end_ = 0;
    conditioner_->revoke(0);
}

void TestedNoise::tell() {
    if (changed_ && !beginning_) {
        changed_();
    }
}

Result<std::unique_ptr<Noise>> device_noise(Loop& loop, const std::string& path) {
    auto noise = std::make_unique<TestedNoise>(std::make_unique<ekey::Device>(loop, path));
    if (auto started = noise->start(); !started) {
        return tl::unexpected(started.error());
    }
    return noise;
}

} // namespace ekey::softkey
