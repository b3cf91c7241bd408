// The event loop: the only place that knows libev. One loop, one thread; nothing called from it may block.
//
// Watchers belong to the object that they call and die with it. A callback may destroy its own watcher,
// and may start or stop any other.
#pragma once

#include <vector>

#include <ev.h>

#include "protocol/bytes.h"

namespace ekey {

class IoWatcher;

class Loop {
  public:
    // Throws std::runtime_error when the kernel offers no usable poll mechanism.
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void run();                               // returns after stop(), or when nothing is watched any more
    bool running() const { return running_; } // within run()
    void stop(); // from a callback: run() returns once the current callbacks are done

    // The monotonic clock, read now (not the loop's cached time).
    static Time now() { return std::chrono::steady_clock::now(); }

    struct ev_loop* raw() const {
        return loop_;
    }

  private:
    friend class IoWatcher;
    struct Ready {
        IoWatcher* watcher; // null: it was stopped since
        int events;
    };
    static void invoke_pending(struct ev_loop* loop);
    void call_ready();

    struct ev_loop* loop_;
    std::vector<Ready> ready_; // in this iteration
    bool running_ = false;
};

// What every watcher shares: a target object and a member function, called without allocation.
template <class EvWatcher>
class WatcherBase {
  public:
    explicit WatcherBase(Loop& loop) : loop_(loop.raw()) {}
    WatcherBase(const WatcherBase&) = delete;
    WatcherBase& operator=(const WatcherBase&) = delete;
    bool active() const { return ev_is_active(&watcher_) != 0; }

  protected:
    ~WatcherBase() = default;
    EvWatcher watcher_{};
    struct ev_loop* loop_;
};

// Descriptors that are ready together are called in the order in which they became ready: libev alone calls
// the last one first, and of thousands that would make some wait for twice as long as others.
class IoWatcher : public WatcherBase<ev_io> {
  public:
    static constexpr int readable = EV_READ;
    static constexpr int writable = EV_WRITE;
    // The kernel watches no more descriptors for us (epoll_ctl(2): ENOSPC, ENOMEM), and the watcher has
    // stopped. Comes with readable and writable; who watches again at once spins.
    static constexpr int unwatchable = EV_ERROR;

    using WatcherBase::WatcherBase;
    ~IoWatcher() { stop(); }

    // Method: void (T::*)(int events), events a mask of the above. libev reports an error or a
    // hang-up as both; the following read or write tells which.
    template <auto Method, class T>
    void bind(T* target) {
        ev_init(&watcher_, &IoWatcher::on_ready);
        watcher_.data = this;
        target_ = target;
        call_ = [](void* t, int events) { (static_cast<T*>(t)->*Method)(events); };
    }
    // Starts, or changes what an active watcher waits for. Events 0 stops.
    void watch(int fd, int events) {
        if (active() && watcher_.fd == fd && (watcher_.events & (EV_READ | EV_WRITE)) == events) {
            return;
        }
        stop();
        if (events != 0) {
            ev_io_set(&watcher_, fd, events);
            ev_io_start(loop_, &watcher_);
        }
    }
    void stop();

  private:
    friend class Loop;
    static void on_ready(struct ev_loop* loop, ev_io* watcher, int events);

    void* target_ = nullptr;
    void (*call_)(void* target, int events) = nullptr;
    std::size_t ready_ = 0; // its place in Loop::ready_, counted from 1; 0: none
};

class Timer : public WatcherBase<ev_timer> {
  public:
    using WatcherBase::WatcherBase;
    ~Timer() { stop(); }

    // Method: void (T::*)()
    template <auto Method, class T>
    void bind(T* target) {
        ev_init(&watcher_, [](struct ev_loop*, ev_timer* w, int) { (static_cast<T*>(w->data)->*Method)(); });
        watcher_.data = target;
    }
    void start(Duration after) { arm(after, Duration::zero()); }
    void every(Duration period) { arm(period, period); }
    // Fires at a time of Loop::now()'s clock; Time::max() stops.
    void at(Time when) {
        if (when == Time::max()) {
            stop();
        } else {
            arm(when - Loop::now(), Duration::zero());
        }
    }
    void stop() { ev_timer_stop(loop_, &watcher_); }

  private:
    void arm(Duration after, Duration repeat);
};

class SignalWatcher : public WatcherBase<ev_signal> {
  public:
    using WatcherBase::WatcherBase;
    ~SignalWatcher() { ev_signal_stop(loop_, &watcher_); }

    // Method: void (T::*)(int signal)
    template <auto Method, class T>
    void bind(T* target) {
        ev_init(&watcher_,
                [](struct ev_loop*, ev_signal* w, int) { (static_cast<T*>(w->data)->*Method)(w->signum); });
        watcher_.data = target;
    }
    void start(int signal) {
        ev_signal_set(&watcher_, signal);
        ev_signal_start(loop_, &watcher_);
    }
};

// Wakes the loop from another thread (name look-ups): send() is the only member another thread may call.
class AsyncWatcher : public WatcherBase<ev_async> {
  public:
    using WatcherBase::WatcherBase;
    ~AsyncWatcher() { ev_async_stop(loop_, &watcher_); }

    template <auto Method, class T>
    void bind(T* target) {
        ev_init(&watcher_, [](struct ev_loop*, ev_async* w, int) { (static_cast<T*>(w->data)->*Method)(); });
        watcher_.data = target;
    }
    void start() { ev_async_start(loop_, &watcher_); }
    void send() { ev_async_send(loop_, &watcher_); }
};

} // namespace ekey
