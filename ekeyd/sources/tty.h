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
    void on_ready(int events);
    void watch();

    Fd fd_;
    LinkOwner& owner_;
    IoWatcher watcher_;
    bool paused_ = false, blocked_ = false;
};

} // namespace ekey
