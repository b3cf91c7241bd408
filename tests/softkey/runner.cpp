#include "tests/softkey/runner.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace ekey::softkey {

namespace {
// At full speed, return to the loop now and then: a signal or a command may wait.
constexpr int rounds_at_once = 16;
} // namespace

void say(const std::string& sentence) {
    std::fprintf(stderr, "softkey: %s\n", sentence.c_str());
}

Runner::Runner(Loop& loop, std::unique_ptr<Line> line, Setup setup)
    : loop_(loop), line_(std::move(line)), noise_(std::move(setup.noise)), nonces_(std::move(setup.nonces)),
      device_(make_locked<Device>(*setup.identity, *noise_, *nonces_, std::move(setup.faults), setup.rate,
                                  static_cast<DeviceOwner&>(*this))),
      keep_(std::move(setup.keep)), plaintext_log_(std::move(setup.plaintext_log)), device_timer_(loop),
      plug_timer_(loop), mute_timer_(loop) {
    device_timer_.bind<&Runner::pump>(this);
    plug_timer_.bind<&Runner::plug_in_again>(this);
    mute_timer_.bind<&Runner::on_heard_again>(this);
    noise_->on_change([this] { on_noise_changed(); });
}

Result<void> Runner::start() {
    if (auto plugged = line_->plug_in(*this); !plugged) {
        return plugged;
    }
    device_->power_on(Loop::now());
    pump();
    return {};
}

void Runner::on_input(ByteView bytes) {
    device_->receive(bytes, Loop::now());
    pump();
}

void Runner::on_host_changed() {
    device_->change_host(Loop::now());
    pump();
}

void Runner::on_powered_up() {
    device_->power_on(Loop::now());
    pump();
}

void Runner::on_plaintext(ByteView bytes) {
    if (plaintext_log_) {
        unlogged_.insert(unlogged_.end(), bytes.begin(), bytes.end());
    }
}

void Runner::on_note(const std::string& sentence) {
    say(sentence);
}

void Runner::on_unplugged(std::optional<Duration> back_after) {
    unplug_ = true;
    back_after_ = back_after;
}

bool Runner::keep_long_term_key(const entropykey::LongTermKey& key) {
    const auto kept = keep_ ? keep_(key) : Result<void>{};
    if (!kept) {
        say("the new long-term key is refused: " + kept.error().what);
    }
    return kept.has_value();
}

void Runner::on_noise_changed() {
    device_->noise_changed(Loop::now());
    pump();
}

void Runner::on_line_fault(const Fault& fault) {
    if (fault.kind == FaultKind::stall) {
        line_->stall_reads(fault.number.value_or(Fault::for_ever));
        return;
    }
    line_->mute(true);
    if (fault.back_after) {
        mute_timer_.start(*fault.back_after);
    }
}

void Runner::unplug() {
    if (!unplugged_) {
        device_->switch_off();
        pull_the_plug();
    }
}

void Runner::plug_in() {
    plug_timer_.stop();
    if (unplugged_) {
        plug_in_again();
    }
}

Result<void> Runner::misbehave(Fault fault) {
    device_->add_fault(std::move(fault));
    return {};
}

void Runner::mend() {
    mute_timer_.stop();
    device_->mend(Loop::now());
    line_->stall_reads(0);
    line_->mute(false);
    pump();
}

void Runner::pump() {
    for (int round = 0; round < rounds_at_once && line_->has_host(); ++round) {
        device_->handle_timeout(line_->unread(), Loop::now());
        if (unplug_) {
            pull_the_plug();
            break;
        }
        const std::size_t before = device_->pending_output().size();
        send_output();
        if (unplug_) { // the part of a frame is out
            pull_the_plug();
            break;
        }
        if (device_->pending_output().size() == before) {
            break;
        }
    }
    write_log();
    line_->watch(device_->accepts_input(), !device_->pending_output().empty());
    device_timer_.at(line_->has_host() ? device_->deadline() : Time::max());
}

void Runner::send_output() {
    ByteView pending = device_->pending_output();
    pending = pending.first(std::min(pending.size(), device_->piece()));
    // A host that goes away during the write has its output discarded: nothing is left to consume then.
    const std::size_t written = line_->write(pending);
    if (written > 0) {
        device_->consume_output(written, Loop::now());
    }
}

void Runner::pull_the_plug() {
    unplug_ = false;
    unplugged_ = true;
    line_->unplug();
    if (back_after_) {
        plug_timer_.start(*back_after_);
    }
}

void Runner::plug_in_again() {
    if (auto plugged = line_->plug_in(*this); !plugged) {
        failure_ = plugged.error().what;
        loop_.stop();
        return;
    }
    unplugged_ = false;
    device_->power_on(Loop::now());
    say("plugged in again");
    pump();
}

void Runner::write_log() {
    std::size_t done = 0;
    while (done < unlogged_.size()) {
        const ssize_t written =
            ::write(plaintext_log_.get(), unlogged_.data() + done, unlogged_.size() - done);
        if (written < 0 && errno != EINTR) {
            failure_ = std::string("the plaintext log cannot be written: ") + std::strerror(errno);
            loop_.stop();
            break;
        }
        done += written > 0 ? static_cast<std::size_t>(written) : 0;
    }
    unlogged_.clear();
}

} // namespace ekey::softkey
