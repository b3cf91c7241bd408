#include "ekeyd/health/monitor.h"

#include <algorithm>
#include <cassert>
#include <cstdarg>
#include <cstdio>

#include "ekeyd/health/cutoffs.h"

namespace ekey::health {
namespace {

[[gnu::format(printf, 1, 2)]] std::string sentence(const char* format, ...) {
    char text[200];
    va_list args;
    va_start(args, format);
    std::vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

std::string list_failed(const Fips140_2Verdict& verdict) {
    std::string list;
    const auto add = [&list](bool failed, const char* name) {
        if (failed) {
            list += list.empty() ? "" : ", ";
            list += name;
        }
    };
    add(verdict.monobit, "monobit");
    add(verdict.poker, "poker");
    add(verdict.runs, "runs");
    add(verdict.long_run, "long run");
    add(verdict.continuous, "continuous");
    return list;
}

} // namespace

std::string_view name(State state) {
    switch (state) {
    case State::starting: return "starting";
    case State::healthy: return "healthy";
    case State::failed: return "failed";
    }
    assert(false);
    return {};
}

std::string_view name(Failure failure) {
    switch (failure) {
    case Failure::none: return "none";
    case Failure::repetition: return "repetition count";
    case Failure::proportion: return "adaptive proportion";
    case Failure::fips_rate: return "FIPS 140-2";
    case Failure::silence: return "silence";
    case Failure::device: return "device";
    }
    assert(false);
    return {};
}

Monitor::Monitor(const Settings& settings)
    : settings_(settings), repetition_(repetition_cutoff(tested_min_entropy(settings.min_entropy))),
      proportion_(proportion_cutoff(AdaptiveProportion::window, tested_min_entropy(settings.min_entropy))) {
    static_assert(block_size >= 1024, "SP 800-90B 4.3: the startup test takes at least 1,024 samples");
}

Monitor::~Monitor() {
    wipe(block_);
}

std::size_t Monitor::feed(ByteView samples, ByteView& released) {
    released = {};
    if (released_) {
        discard_held();
    }
    if (state_ == State::failed) {
        counters_.bytes_discarded += samples.size();
        return samples.size();
    }
    const std::size_t taken = std::min(samples.size(), block_size - fill_);
    if (taken == 0) {
        return 0;
    }
    if (!test_samples(samples.first(taken))) {
        counters_.bytes_discarded += samples.size();
        return samples.size();
    }
    std::memcpy(block_.data() + fill_, samples.data(), taken);
    fill_ += taken;
    if (fill_ == block_size && test_block()) {
        if (state_ == State::starting && --startup_left_ > 0) {
            counters_.bytes_discarded += block_size;
            discard_held();
            return taken;
        }
        state_ = State::healthy;
        counters_.bytes_released += block_size;
        released_ = true;
        released = block_;
    }
    return taken;
}

// Both tests see each sample in turn: what follows a failure is not tested.
bool Monitor::test_samples(ByteView samples) {
    const std::size_t repeated = repetition_.test(samples);
    const std::size_t frequent = proportion_.test(samples.first(repeated));
    counters_.bytes_tested += std::min(frequent + 1, samples.size());
    if (frequent == samples.size()) {
        return true;
    }
    const double claim = tested_min_entropy(settings_.min_entropy);
    if (frequent < repeated) {
        fail(Failure::proportion,
             sentence("one value came %u times in %u bytes, the limit at %.4g bits a byte",
                      proportion_.cutoff(), AdaptiveProportion::window, claim));
    } else {
        fail(Failure::repetition, sentence("%u equal bytes came in a row, the limit at %.4g bits a byte",
                                           repetition_.cutoff(), claim));
    }
    return false;
}

bool Monitor::test_block() {
    if (!settings_.fips) {
        return true;
    }
    const Fips140_2Verdict verdict = fips_.test(block_);
    counters_.monobit += verdict.monobit;
    counters_.poker += verdict.poker;
    counters_.runs += verdict.runs;
    counters_.long_run += verdict.long_run;
    counters_.continuous += verdict.continuous;
    fips_rate_.add(!verdict.passed());
    if (verdict.passed()) {
        ++counters_.blocks_passed;
        return true;
    }
    ++counters_.blocks_failed;
    counters_.bytes_discarded += fill_;
    discard_held();
    if (state_ == State::starting) {
        fail(Failure::fips_rate, "the startup block failed FIPS 140-2: " + list_failed(verdict));
    } else if (fips_rate_.too_many_in_a_row()) {
        fail(Failure::fips_rate,
             sentence("%zu blocks in a row failed FIPS 140-2, the last one: ", FipsRate::max_in_a_row) +
                 list_failed(verdict));
    } else if (fips_rate_.exceeded()) {
        fail(Failure::fips_rate, sentence("%zu of the last %zu blocks failed FIPS 140-2, the last one: ",
                                          fips_rate_.failed_in_window(), FipsRate::window) +
                                     list_failed(verdict));
    }
    return false;
}

void Monitor::discard_held() {
    wipe(ByteSpan(block_).first(fill_));
    fill_ = 0;
    released_ = false;
}

void Monitor::fail(Failure why, std::string detail) {
    switch (why) {
    case Failure::repetition: ++counters_.repetition; break;
    case Failure::proportion: ++counters_.proportion; break;
    case Failure::fips_rate: ++counters_.fips_rate; break;
    case Failure::silence: ++counters_.silence; break;
    case Failure::device: ++counters_.device; break;
    case Failure::none: assert(false); break;
    }
    counters_.bytes_discarded += bytes_held();
    discard_held();
    if (state_ == State::failed && failure_ != why) {
        return;
    }
    state_ = State::failed;
    failure_ = why;
    detail_ = std::move(detail);
}

void Monitor::restart() {
    counters_.bytes_discarded += bytes_held();
    discard_held();
    repetition_.restart();
    proportion_.restart();
    fips_.restart();
    startup_left_ = std::min(1 + startup_a_failed * fips_rate_.failed_in_window(), most_startup);
    state_ = State::starting;
}

void Monitor::begin_anew() {
    fips_rate_.restart();
    restart();
}

} // namespace ekey::health
