#include <doctest/doctest.h>

#include <functional>
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

namespace {

// A socket that others wait on, in a crowd that notes who was called.
struct Member {
    Member(Loop& loop, std::vector<int>& c, int n) : called(c), number(n), watcher(loop) {
        int pair[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        ours = Fd(pair[0]);
        theirs = Fd(pair[1]);
        watcher.bind<&Member::on_ready>(this);
        watcher.watch(ours.get(), IoWatcher::readable);
    }
    void speak() const { REQUIRE(write(theirs.get(), "x", 1) == 1); }
    void on_ready(int) {
        called.push_back(number);
        char byte;
        REQUIRE(read(ours.get(), &byte, 1) == 1);
        if (also) {
            also();
        }
    }

    std::vector<int>& called;
    int number;
    Fd ours, theirs;
    std::function<void()> also;
    IoWatcher watcher;
};

struct Crowd {
    explicit Crowd(int size) {
        for (int i = 0; i < size; ++i) {
            members.push_back(std::make_unique<Member>(loop, called, i));
        }
        ev_run(loop.raw(), EVRUN_NOWAIT); // all are watched from now on
    }
    Member& at(int i) { return *members[static_cast<std::size_t>(i)]; }

    Loop loop;
    std::vector<int> called;
    std::vector<std::unique_ptr<Member>> members;
};

} // namespace

TEST_CASE("promise 7: who is ready first is called first") {
    Crowd crowd(100);
    std::vector<int> order;
    for (int i = 0; i < 100; ++i) {
        order.push_back(i * 37 % 100);
        crowd.at(order.back()).speak();
    }
    while (crowd.called.size() < order.size()) {
        ev_run(crowd.loop.raw(), EVRUN_ONCE);
    }
    CHECK(crowd.called == order);
}

TEST_CASE("one who is ready may be stopped, watched anew or destroyed by another, or destroy itself") {
    Crowd crowd(5);
    for (const int i : {0, 1, 2, 3, 4}) {
        crowd.at(i).speak();
    }
    crowd.at(0).also = [&] {
        crowd.at(1).watcher.stop();
        crowd.members[2].reset();
        crowd.at(3).watcher.stop();
        crowd.at(3).watcher.watch(crowd.at(3).ours.get(), IoWatcher::readable);
    };
    crowd.at(4).also = [&] { crowd.at(4).watcher.stop(); };
    ev_run(crowd.loop.raw(), EVRUN_NOWAIT);
    CHECK(crowd.called == std::vector<int>{0, 4});
    ev_run(crowd.loop.raw(), EVRUN_ONCE);
    CHECK(crowd.called == std::vector<int>{0, 4, 3}); // its byte is still there

    crowd.at(0).speak();
    crowd.at(0).also = [&] { crowd.members[0].reset(); };
    ev_run(crowd.loop.raw(), EVRUN_ONCE);
    CHECK(crowd.called.back() == 0);
}
