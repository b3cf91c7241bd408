// Writes down what a source tells its owner, and stops the loop when the awaited happens.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/source.h"

namespace ekey::test {

struct RecordingOwner final : SourceOwner {
    explicit RecordingOwner(Loop& l) : loop(l) {}

    Loop& loop;
    std::vector<Byte> samples;
    std::vector<std::pair<health::Failure, std::string>> failures;
    int restarts = 0;
    std::function<bool()> awaited = [] { return false; };

    // Runs the loop until `condition` holds; false when it does not within 10 seconds.
    bool wait_until(std::function<bool()> condition) {
        awaited = std::move(condition);
        if (awaited()) {
            return true;
        }
        Timer limit(loop);
        limit.bind<&RecordingOwner::give_up>(this);
        limit.start(std::chrono::seconds(10));
        loop.run();
        return awaited();
    }

    void on_samples(ByteView raw) override {
        samples.insert(samples.end(), raw.begin(), raw.end());
        check();
    }
    void on_failure(health::Failure why, std::string detail) override {
        failures.emplace_back(why, std::move(detail));
        check();
    }
    void on_restart() override {
        ++restarts;
        check();
    }
    void check() {
        if (awaited()) {
            loop.stop();
        }
    }
    void give_up() { loop.stop(); }
};

} // namespace ekey::test
