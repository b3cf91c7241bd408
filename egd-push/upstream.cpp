#include "egd-push/upstream.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdio>

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

std::string shown_seconds(Duration d) {
    char text[32];
    std::snprintf(text, sizeof text, "%g s", std::chrono::duration<double>(d).count());
    return text;
}

} // namespace

Upstream::Upstream(Loop& loop, UpstreamOwner& owner, const config::Address& address, std::size_t bytes,
                   Duration timeout, const sealed::KeyPair* self)
    : owner_(owner), address_(address), bytes_(bytes), timeout_(timeout), link_(loop, *this, address, self),
      deadline_(loop), answer_(bytes) {
    assert(bytes > 0 && bytes <= egd::AnswerReader::max_outstanding * egd::max_count);
    deadline_.bind<&Upstream::on_timeout>(this);
}

void Upstream::ask() {
    assert(!busy_);
    forget();
    busy_ = true;
    deadline_at_ = Loop::now() + timeout_;
    deadline_.start(timeout_);
    if (link_.is_old()) {
        link_.close();
    }
    reused_ = link_.is_open();
    if (reused_) {
        send_requests();
    } else {
        link_.open(deadline_at_);
    }
}

void Upstream::forget() {
    wipe(answer_.span());
    received_ = 0;
    complete_ = false;
}

void Upstream::on_open() {
    reader_ = {};
    send_requests();
}

void Upstream::send_requests() {
    std::array<Byte, egd::AnswerReader::max_outstanding * egd::max_request> out;
    std::size_t size = 0;
    for (std::size_t left_to_ask = bytes_; left_to_ask > 0;) {
        const std::size_t count = std::min(left_to_ask, egd::max_count);
        const egd::Request request{egd::Command::read_blocking, static_cast<Byte>(count)};
        size += egd::encode_request(request, ByteSpan(out).subspan(size));
        reader_.expect(request);
        left_to_ask -= count;
    }
    if (const auto sent = link_.send(ByteView(out).first(size)); !sent) {
        break_off(sent.error().what);
    }
}

void Upstream::on_bytes(ByteView bytes) {
    if (is_device()) {
        // Behind the answer there may be one that comes late.
        bytes = bytes.first(std::min(bytes.size(), bytes_ - received_));
    }
    reused_ = false;
    // Answers to blocking reads have no header: they are nothing but the bytes.
    while (!bytes.empty()) {
        const auto step = reader_.receive(bytes);
        if (step.event == egd::AnswerReader::Event::error) {
            break_off(step.error);
            return;
        }
        std::copy(step.bytes.begin(), step.bytes.end(), answer_.data() + received_);
        received_ += step.bytes.size();
        bytes = bytes.subspan(step.used);
    }
    if (busy_ && reader_.outstanding() == 0) {
        complete();
    }
}

void Upstream::complete() {
    assert(received_ == bytes_);
    if (is_device()) {
        // Others may use it meanwhile, and a host that goes away leaves nothing here to be woken by.
        link_.close();
    }
    busy_ = false;
    complete_ = true;
    deadline_.stop();
    owner_.on_answer(*this);
}

void Upstream::on_timeout() {
    const std::string within = " within " + shown_seconds(timeout_);
    if (const char* what = link_.waits_for()) {
        fail_with(what + within);
    } else {
        fail_with("no whole answer" + within + " (" + std::to_string(received_) + " of " +
                  std::to_string(bytes_) + " bytes came)");
    }
}

void Upstream::break_off(const std::string& why) {
    link_.close();
    on_lost(why);
}

void Upstream::on_lost(const std::string& why) {
    if (!busy_) {
        // Between pushes: connected anew when the next one is due, so that a server that restarts does not
        // have all its clients at once.
        log::info("upstream: the connection has ended", {{"upstream", address_.text}, {"reason", why}});
    } else if (reused_) {
        reused_ = false;
        link_.open(deadline_at_);
    } else {
        fail_with(received_ == 0 ? why
                                 : why + " (" + std::to_string(received_) + " of " + std::to_string(bytes_) +
                                       " bytes came)");
    }
}

void Upstream::fail_with(const std::string& why) {
    link_.close();
    deadline_.stop();
    forget();
    busy_ = false;
    owner_.on_failure(*this, why);
}

} // namespace ekey
