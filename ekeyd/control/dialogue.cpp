#include "ekeyd/control/dialogue.h"

#include <algorithm>
#include <utility>

namespace ekey::control {

namespace {

// Lua's %q writes a line end in a string as a backslash and the line end itself: such a line goes on.
bool continues(std::string_view line) {
    const std::size_t last = line.find_last_not_of('\\');
    const std::size_t backslashes = line.size() - (last == std::string_view::npos ? 0 : last + 1);
    return backslashes % 2 == 1 && line.find_first_of("\"'") != std::string_view::npos;
}

} // namespace

Dialogue::Dialogue(Subject& subject, std::function<void()> on_settle)
    : subject_(subject), on_settle_(std::move(on_settle)), out_(greeting) {}

Dialogue::~Dialogue() {
    end_capture();
}

bool Dialogue::wants_input() const {
    return !ended_ && !closing_ && in_.size() <= longest_line;
}

void Dialogue::receive(std::string_view bytes) {
    if (!closing_) {
        in_ += bytes;
        work();
    }
}

void Dialogue::receive_end() {
    ended_ = true;
    work();
}

void Dialogue::consumed(std::size_t bytes) {
    sent_ += bytes;
    if (sent_ == out_.size()) {
        out_.clear();
        sent_ = 0;
    }
    work();
}

void Dialogue::settle() {
    if (capture_ == Capture::overflowed) {
        end_capture();
        Answer answer;
        answer.error("the capture ended: the client reads too slowly");
        out_ += answer.text();
    }
    work();
}

// Where the first line ends: at its line end, or where the client stopped.
std::size_t Dialogue::line_end() const {
    std::size_t end = in_.find('\n');
    while (!skipping_ && end != std::string::npos && continues(std::string_view(in_).substr(0, end))) {
        end = in_.find('\n', end + 1);
    }
    return end == std::string::npos && ended_ && !in_.empty() ? in_.size() : end;
}

bool Dialogue::take_line(std::string& line) {
    for (;;) {
        const std::size_t end = line_end();
        if (std::min(end, in_.size()) > longest_line && !skipping_) {
            Answer answer;
            answer.error("the line is longer than " + std::to_string(longest_line) + " bytes");
            out_ += answer.text();
            skipping_ = true;
        }
        if (end == std::string::npos) {
            if (skipping_) {
                in_.clear();
            }
            return false;
        }
        line = in_.substr(0, end);
        in_.erase(0, end + 1);
        if (!std::exchange(skipping_, false)) {
            return true;
        }
    }
}

void Dialogue::work() {
    std::string line;
    while (!closing_ && !capturing() && output().size() < most_output && take_line(line)) {
        execute_line(line);
    }
    if (ended_ && in_.empty() && !capturing()) {
        closing_ = true;
    }
}

void Dialogue::execute_line(std::string_view line) {
    Answer answer;
    Outcome outcome;
    const auto call = config::parse_call(line);
    if (!call) {
        answer.error(call.error().what);
    } else if (!*call) {
        answer.ok(); // an empty line or a comment, as in 1.1.5
    } else {
        outcome = execute(subject_, **call, answer);
    }
    out_ += answer.text();
    if (outcome.close) {
        closing_ = true;
        in_.clear();
    }
    if (outcome.capture != 0) {
        begin_capture(outcome);
    }
}

void Dialogue::begin_capture(const Outcome& outcome) {
    capture_ = Capture::running;
    remaining_ = outcome.bytes;
    if (auto begun = subject_.begin_capture(outcome.capture, outcome.bytes, *this); !begun) {
        capture_ = Capture::none;
        Answer answer;
        answer.error(begun.error().what);
        out_ += answer.text();
    }
}

void Dialogue::end_capture() {
    if (std::exchange(capture_, Capture::none) != Capture::none) {
        subject_.end_capture(*this);
    }
}

// The subject is in the middle of something: further lines, and the end of a capture, wait for settle().
void Dialogue::on_captured(ByteView raw) {
    if (capture_ != Capture::running) {
        return;
    }
    raw = raw.first(static_cast<std::size_t>(std::min<std::uint64_t>(raw.size(), remaining_)));
    if (output().size() + 2 * raw.size() > most_output) {
        capture_ = Capture::overflowed;
    } else {
        Answer answer;
        answer.base64(raw);
        remaining_ -= raw.size();
        if (remaining_ == 0) {
            capture_ = Capture::none; // the subject has ended it
            answer.ok();
        }
        out_ += answer.text();
    }
    on_settle_();
}

void Dialogue::on_capture_ended(std::string why) {
    capture_ = Capture::none;
    Answer answer;
    answer.error("the capture ended: " + why);
    out_ += answer.text();
    on_settle_();
}

} // namespace ekey::control
