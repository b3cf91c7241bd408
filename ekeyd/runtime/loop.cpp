#include "ekeyd/runtime/loop.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <sys/epoll.h>

// libev has its array of events grow with the crowd, and calls this function, which then stands before
// libc's. A round of ten thousand would be over before those who were served last have asked again: they
// would miss every other round. So a round takes a few hundred, and the kernel keeps the others in order.
extern "C" int epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
    constexpr int round = 512;
    return epoll_pwait(epoll, events, std::min(most, round), timeout, nullptr);
}

namespace ekey {

Loop::Loop() : loop_(ev_loop_new(EVFLAG_AUTO)) {
    if (loop_ == nullptr) {
        throw std::runtime_error("the event loop cannot start: no usable poll mechanism (libev)");
    }
    ev_set_userdata(loop_, this);
    ev_set_invoke_pending_cb(loop_, &Loop::invoke_pending);
}

Loop::~Loop() {
    ev_loop_destroy(loop_);
}

void Loop::run() {
    running_ = true;
    ev_run(loop_, 0);
    running_ = false;
}

void Loop::stop() {
    ev_break(loop_, EVBREAK_ALL);
}

void Loop::invoke_pending(struct ev_loop* loop) {
    ev_invoke_pending(loop);
    static_cast<Loop*>(ev_userdata(loop))->call_ready();
}

// libev has told of the last one first.
void Loop::call_ready() {
    while (!ready_.empty()) {
        const Ready next = ready_.back();
        ready_.pop_back();
        if (next.watcher != nullptr) {
            next.watcher->ready_ = 0;
            next.watcher->call_(next.watcher->target_, next.events);
        }
    }
}

void IoWatcher::on_ready(struct ev_loop* loop, ev_io* watcher, int events) {
    auto& self = *static_cast<IoWatcher*>(watcher->data);
    auto& ready = static_cast<Loop*>(ev_userdata(loop))->ready_;
    ready.push_back({&self, events});
    self.ready_ = ready.size();
}

void IoWatcher::stop() {
    ev_io_stop(loop_, &watcher_);
    if (ready_ != 0) {
        static_cast<Loop*>(ev_userdata(loop_))->ready_[std::exchange(ready_, 0) - 1].watcher = nullptr;
    }
}

namespace {
double seconds(Duration d) {
    return std::chrono::duration<double>(d).count();
}
} // namespace

void Timer::arm(Duration after, Duration repeat) {
    stop();
    if (after < Duration::zero()) {
        after = Duration::zero();
    }
    // libev counts from the time at which this iteration began; a long callback must not shorten the wait.
    // Not by the difference of ev_time() and ev_now(): those are of the wall clock, and somebody may just
    // have set it.
    ev_now_update(loop_);
    ev_timer_set(&watcher_, seconds(after), seconds(repeat));
    ev_timer_start(loop_, &watcher_);
}

} // namespace ekey
