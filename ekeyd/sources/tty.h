// A link over a tty or a Unix socket.
#pragma once

#include <string>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/link.h"

namespace ekey {

class TtyLink final : public Link {
  public:
    TtyLink(Loop& loop, Fd fd, LinkOwner& owner);
    std::size_t write(ByteView bytes) override;
    void pause(bool on) override;

    // An opener for `path` (see open_port()).
    static LinkOpener opener(Loop& loop, std::string path, unsigned baud = 115200);

  private:
    // A frame comes every 11 ms, and to wake for each is most of what an idle daemon costs. So after a short
    // read the tty, which holds 4 KiB, gathers for a moment. After a long one there is no rest: a fast source
    // is read as fast as it goes.
    static constexpr Duration rest = std::chrono::milliseconds(40);
    static constexpr std::size_t short_read = 512; // bytes

    void on_ready(int events);
    void on_rested();
    void watch();

    Fd fd_;
    LinkOwner& owner_;
    IoWatcher watcher_;
    Timer rest_;
    bool paused_ = false, blocked_ = false, resting_ = false;
};

} // namespace ekey
