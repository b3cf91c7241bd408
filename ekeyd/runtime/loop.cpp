#include "ekeyd/runtime/loop.h"

#include <stdexcept>

namespace ekey {

Loop::Loop() : loop_(ev_loop_new(EVFLAG_AUTO)) {
    if (loop_ == nullptr) {
        throw std::runtime_error("the event loop cannot start: no usable poll mechanism (libev)");
    }
}

Loop::~Loop() {
    ev_loop_destroy(loop_);
}

void Loop::run() {
    ev_run(loop_, 0);
}

void Loop::stop() {
    ev_break(loop_, EVBREAK_ALL);
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
    // libev counts from the time at which this iteration began; a long callback must not shorten the wait. Not
    // by the difference of ev_time() and ev_now(): those are of the wall clock, and somebody may just have set
    // it.
    ev_now_update(loop_);
    ev_timer_set(&watcher_, seconds(after), seconds(repeat));
    ev_timer_start(loop_, &watcher_);
}

} // namespace ekey
