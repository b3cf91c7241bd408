#include <doctest/doctest.h>

#include <memory>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"

using namespace ekey;

namespace {

struct Recorder {
    Loop loop;
    std::vector<int> events;
    void on_io(int seen) {
        events.push_back(seen);
        loop.stop();
    }
    void on_wake() {
        events.push_back(-1);
        loop.stop();
    }
};

struct SelfDestroyer {
    Loop loop;
    std::unique_ptr<Timer> timer = std::make_unique<Timer>(loop);
    void fire() {
        timer.reset();
        loop.stop();
    }
};

} // namespace

TEST_CASE("a watcher reports what it waits for, and only that") {
    Recorder r;
    int pair[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    const Fd a(pair[0]), b(pair[1]);
    IoWatcher watcher(r.loop);
    watcher.bind<&Recorder::on_io>(&r);
    watcher.watch(a.get(), IoWatcher::writable);
    r.loop.run();
    CHECK(r.events == std::vector<int>{IoWatcher::writable});

    watcher.watch(a.get(), IoWatcher::readable);
    REQUIRE(write(b.get(), "x", 1) == 1);
    r.loop.run();
    CHECK(r.events.back() == IoWatcher::readable);
    watcher.watch(a.get(), 0);
    CHECK_FALSE(watcher.active());
}

TEST_CASE("a timer fires once, not before its time") {
    Recorder r;
    Timer timer(r.loop);
    timer.bind<&Recorder::on_wake>(&r);
    const Time when = Loop::now() + std::chrono::milliseconds(30);
    timer.at(when);
    r.loop.run();
    // libev rounds the time it sleeps to the clock tick of its back end.
    CHECK(Loop::now() >= when - std::chrono::milliseconds(2));
    CHECK(r.events.size() == 1);
    CHECK_FALSE(timer.active());
    timer.at(Time::max());
    CHECK_FALSE(timer.active());
}

TEST_CASE("another thread can wake the loop") {
    Recorder r;
    AsyncWatcher watcher(r.loop);
    watcher.bind<&Recorder::on_wake>(&r);
    watcher.start();
    std::thread other([&] { watcher.send(); });
    r.loop.run();
    other.join();
    CHECK(r.events.size() == 1);
}

TEST_CASE("a watcher may be destroyed by its own callback") {
    SelfDestroyer s;
    s.timer->bind<&SelfDestroyer::fire>(&s);
    s.timer->start(Duration::zero());
    s.loop.run();
    CHECK(s.timer == nullptr);
}
