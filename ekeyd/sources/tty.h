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
    // A key's frame comes every 11 ms, and to wake for each is most of what an idle daemon costs. So a tty,
    // which holds 4 KiB, is read by the clock; what has brought half of that in one turn is watched instead,
    // and read as fast as it goes.
    static constexpr Duration turn = std::chrono::milliseconds(40);
    static constexpr std::size_t fast = 2048; // bytes a turn

    void on_ready(int events);
    void on_turn();
    void read();
    void watch(bool on);

    Fd fd_;
    LinkOwner& owner_;
    IoWatcher watcher_;
    Timer turn_;
    std::size_t brought_ = 0; // bytes in this turn
    bool paused_ = false, blocked_ = false, watched_ = false;
};

} // namespace ekey
