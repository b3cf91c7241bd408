// Moments at which this machine's random state may be known, repeated or stale: it slept, its clock was set,
// or it is now a copy of another (a cloned virtual machine).
#pragma once

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"

namespace ekey {

class WakeupOwner {
  public:
    virtual void on_wakeup(const char* what) = 0; // a few words for the log

  protected:
    ~WakeupOwner() = default;
};

class Wakeups {
  public:
    // What this kernel does not offer is not watched for.
    Wakeups(Loop& loop, WakeupOwner& owner);

    // True for the kernel's uevent after a virtual machine got a new generation id (Linux 6.9,
    // drivers/virt/vmgenid.c): "change@/devices/...", then NAME=VALUE strings, each ended by a zero byte.
    static bool says_cloned(ByteView uevent);

  private:
    void watch_clock();
    void watch_uevents();
    void on_clock(int events);
    void on_uevent(int events);

    WakeupOwner& owner_;
    Fd clock_, uevents_;
    IoWatcher clock_ready_, uevents_ready_;
};

} // namespace ekey
