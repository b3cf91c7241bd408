#include "tests/softkey/stream_dongle.h"

#include <algorithm>

namespace ekey::softkey {

namespace {
constexpr Duration tick = std::chrono::milliseconds(10);
// What waits for the host at most: a device has little memory, and drops what nobody fetches.
constexpr std::size_t output_limit = 4096;
constexpr std::size_t longest_command = 16; // "cmdO" and its like
constexpr std::string_view version = "Version 3\n";
} // namespace

StreamDongle::StreamDongle(Loop& loop, Kind kind, std::unique_ptr<Line> line, std::unique_ptr<Noise> noise,
                           double rate)
    : kind_(kind), line_(std::move(line)), noise_(std::move(noise)), rate_(rate), tick_(loop) {
    tick_.bind<&StreamDongle::make_noise>(this);
}

Result<void> StreamDongle::start() {
    return line_->plug_in(*this);
}

void StreamDongle::unplug() {
    line_->unplug();
    power_on();
}

void StreamDongle::plug_in() {
    if (const auto plugged = line_->plug_in(*this); !plugged) {
        say(plugged.error().what);
    }
}

Result<void> StreamDongle::misbehave(Fault fault) {
    if (fault.kind == FaultKind::stall) {
        line_->stall_reads(fault.number.value_or(Fault::for_ever));
    } else if (fault.kind == FaultKind::mute) {
        line_->mute(true);
    } else {
        return fail("this device knows the faults stall and mute only");
    }
    return {};
}

void StreamDongle::mend() {
    line_->stall_reads(0);
    line_->mute(false);
}

void StreamDongle::power_on() {
    dtr_ = started_ = false;
    command_.clear();
    output_.clear();
    update();
}

void StreamDongle::on_dtr(bool on) {
    dtr_ = on;
    update();
}

void StreamDongle::on_input(ByteView bytes) {
    for (const Byte byte : bytes) {
        if (byte != '\n' && byte != '\r') {
            command_ += static_cast<char>(byte);
            command_.resize(std::min(command_.size(), longest_command));
        } else if (!command_.empty()) {
            obey(std::exchange(command_, {}));
        }
    }
    update();
}

void StreamDongle::obey(const std::string& command) {
    if (kind_ != Kind::onerng) {
        return; // it listens to nothing
    }
    if (command == "cmdO" || command == "cmdo") {
        started_ = command == "cmdO";
    } else if (command == "cmdw") {
        output_.clear();
    } else if (command == "cmdv") {
        output_.insert(output_.end(), version.begin(), version.end());
    } else if (command != "cmd0") { // what it is to send: whitened noise is all that we have
        say("OneRNG: the command '" + command + "' does nothing here");
    }
}

void StreamDongle::update() {
    const bool sends = dtr_ && (kind_ == Kind::truerng || started_);
    if (sends && !tick_.active()) {
        tick_.every(tick);
    } else if (!sends) {
        tick_.stop();
    }
    line_->watch(true, false);
    send();
}

void StreamDongle::make_noise() {
    owed_ += rate_ * std::chrono::duration<double>(tick).count();
    std::vector<Byte> fresh(static_cast<std::size_t>(owed_));
    owed_ -= static_cast<double>(fresh.size());
    if (!noise_->fill(fresh)) {
        tick_.stop();
        say("the noise has ended: nothing more to send");
        return;
    }
    fresh.resize(std::min(fresh.size(), output_limit - std::min(output_limit, output_.size())));
    output_.insert(output_.end(), fresh.begin(), fresh.end());
    send();
}

void StreamDongle::send() {
    while (!output_.empty()) {
        const std::size_t written = line_->write(output_);
        if (written == 0 || written > output_.size()) { // the host went, and output_ with it
            break;
        }
        output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(written));
    }
}

} // namespace ekey::softkey
