// Runs a loop until something has happened, or a deadline has passed: no test sleeps for a guessed time.
#pragma once

#include <functional>
#include <utility>

#include "ekeyd/runtime/loop.h"

namespace ekey {

// Looks at `done` every few milliseconds of the loop's time; false when the deadline came first.
class RunUntil {
  public:
    static bool holds(Loop& loop, std::function<bool()> done, Duration deadline = std::chrono::seconds(10)) {
        RunUntil run(loop, std::move(done), Loop::now() + deadline);
        run.look_.every(std::chrono::milliseconds(2));
        loop.run();
        return run.held_;
    }

  private:
    RunUntil(Loop& loop, std::function<bool()> done, Time end)
        : loop_(loop), look_(loop), done_(std::move(done)), end_(end) {
        look_.bind<&RunUntil::look>(this);
    }
    void look() {
        held_ = done_();
        if (held_ || Loop::now() >= end_) {
            loop_.stop();
        }
    }
    Loop& loop_;
    Timer look_;
    std::function<bool()> done_;
    Time end_;
    bool held_ = false;
};

} // namespace ekey
