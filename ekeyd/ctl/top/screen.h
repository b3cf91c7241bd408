// A terminal that is drawn on: its other screen, keys without waiting for a line, signals. All of it is put
// back by the destructor. ECMA-48 and xterm's private modes, which every terminal of today knows.
#pragma once

#include <optional>
#include <span>

#include <csignal>
#include <termios.h>

#include "ekeyd/ctl/top/view.h"
#include "ekeyd/runtime/handle.h"
#include "protocol/bytes.h"

namespace ekey::ctl {

class Screen {
  public:
    // `out` is a terminal; keys come from `in` if that is one too. Blocks the signals that end, stop or
    // resize: next() tells of them. One at a time.
    static Result<Screen> open(int in, int out);
    Screen(Screen&&) noexcept;
    Screen& operator=(Screen&&) = delete;
    ~Screen();

    struct Size {
        std::size_t rows, columns;
    };
    Size size() const;
    // Draws as much as fits. A terminal that takes nothing (Ctrl-S) is waited for until something else
    // happens.
    void draw(std::span<const ViewLine> lines, Size window);

    enum class Event { timeout, redraw, quit };
    // Waits for a key, a signal or the time. Ctrl-Z is obeyed: the program is stopped in there.
    Event next(Time until);

    // Readable when next() has something to tell.
    std::span<const int> descriptors() const { return {watched_, keys_ ? 2U : 1U}; }

  private:
    Screen(int in, Fd out, Fd signals, const sigset_t& mask_before);
    void enter();
    void leave();
    bool put(std::string_view text, std::optional<Duration> patience); // false: not all of it
    Event on_signal();
    Event on_key();

    int in_;
    Fd out_, signals_;
    sigset_t mask_before_;
    termios before_{};
    int watched_[2];
    bool keys_ = false, entered_ = false;
};

} // namespace ekey::ctl
