#include "ekeyd/ctl/top/screen.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace ekey::ctl {

namespace {

constexpr std::string_view other_screen = "\x1b[?1049h\x1b[?25l"; // and no cursor
constexpr std::string_view own_screen = "\x1b[0m\x1b[?25h\x1b[?1049l";
constexpr std::string_view home = "\x1b[H", clear_line = "\x1b[K", clear_below = "\x1b[J",
                           no_style = "\x1b[0m";

constexpr std::string_view style_of(ViewLine::Style style) {
    switch (style) {
    case ViewLine::Style::heading: return "\x1b[1m";  // bold
    case ViewLine::Style::trouble: return "\x1b[31m"; // red
    case ViewLine::Style::plain: break;
    }
    return "";
}

// Those that end the program, and those that the terminal sends.
sigset_t handled_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH}) {
        sigaddset(&set, number);
    }
    return set;
}

int milliseconds(Duration left) {
    // Rounded up, so that nobody spins for the last one.
    const auto whole = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::clamp<decltype(whole)>(whole, 0, 3600000));
}

} // namespace

Result<Screen> Screen::open(int in, int out) {
    // Its own description of the terminal: O_NONBLOCK on the one that the shell shares would outlive us.
    Fd own(::open(("/proc/self/fd/" + std::to_string(out)).c_str(),
                  O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!own) {
        return fail(std::string("cannot open the terminal: ") + std::strerror(errno));
    }
    const sigset_t handled = handled_signals();
    Fd signals(signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals) {
        return fail(std::string("cannot wait for signals: ") + std::strerror(errno));
    }
    sigset_t before;
    sigprocmask(SIG_BLOCK, &handled, &before);
    return Screen(in, std::move(own), std::move(signals), before);
}

Screen::Screen(int in, Fd out, Fd signals, const sigset_t& mask_before)
    : in_(in), out_(std::move(out)), signals_(std::move(signals)),
      mask_before_(mask_before), watched_{signals_.get(), in} {
    enter();
}

Screen::Screen(Screen&& other) noexcept
    : in_(other.in_), out_(std::move(other.out_)), signals_(std::move(other.signals_)),
      mask_before_(other.mask_before_),
      before_(other.before_), watched_{other.watched_[0], other.watched_[1]}, keys_(other.keys_),
      entered_(std::exchange(other.entered_, false)) {}

Screen::~Screen() {
    if (entered_) {
        leave();
        sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
    }
}

void Screen::enter() {
    entered_ = true;
    keys_ = tcgetattr(in_, &before_) == 0;
    if (keys_) {
        termios now = before_;
        now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        now.c_cc[VMIN] = 1;
        now.c_cc[VTIME] = 0;
        tcsetattr(in_, TCSANOW, &now);
    }
    put(other_screen, std::chrono::seconds(1));
}

void Screen::leave() {
    // A terminal that is stopped or gone must not keep us.
    put(own_screen, std::chrono::seconds(1));
    if (keys_) {
        tcsetattr(in_, TCSANOW, &before_);
    }
}

bool Screen::put(std::string_view text, std::optional<Duration> patience) {
    while (!text.empty()) {
        const ssize_t written = ::write(out_.get(), text.data(), text.size());
        if (written > 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
            continue;
        }
        if (written < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        pollfd room[] = {{out_.get(), POLLOUT, 0},
                         {patience ? -1 : watched_[0], POLLIN, 0},
                         {patience || !keys_ ? -1 : watched_[1], POLLIN, 0}};
        const int ready = ::poll(room, 3, patience ? milliseconds(*patience) : -1);
        if (ready == 0 || room[1].revents != 0 || room[2].revents != 0) {
            return false;
        }
    }
    return true;
}

Screen::Size Screen::size() const {
    winsize size{};
    // Not known (a serial line): as a terminal of old.
    const bool known = ioctl(out_.get(), TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
    return known ? Size{size.ws_row, size.ws_col} : Size{24, 80};
}

void Screen::draw(std::span<const ViewLine> lines, Size window) {
    const auto [rows, columns] = window;
    std::vector<ViewLine> fitted(lines.begin(), lines.end());
    for (ViewLine& line : fitted) {
        line.text.resize(std::min(line.text.size(), columns));
    }
    if (fitted.size() > rows) {
        fitted.resize(rows);
        fitted.back() = {ViewLine::Style::heading,
                         std::string("(more: the window is too low)").substr(0, columns)};
    }
    std::string frame(home);
    for (std::size_t i = 0; i < fitted.size(); ++i) {
        frame += (i == 0 ? "" : "\r\n");
        frame += style_of(fitted[i].style);
        frame += fitted[i].text;
        frame += no_style;
        // In the last column, clearing would take the last character with it.
        frame += fitted[i].text.size() < columns ? clear_line : "";
    }
    frame += fitted.size() < rows ? clear_below : "";
    put(frame, std::nullopt);
}

Screen::Event Screen::next(Time until) {
    for (;;) {
        pollfd ready[] = {{watched_[0], POLLIN, 0}, {keys_ ? watched_[1] : -1, POLLIN, 0}};
        const int count = ::poll(ready, 2, milliseconds(until - std::chrono::steady_clock::now()));
        if (count == 0) {
            return Event::timeout;
        }
        if (count < 0) {
            continue;
        }
        const Event event = ready[0].revents != 0 ? on_signal() : on_key();
        if (event != Event::timeout) {
            return event;
        }
    }
}

// Event::timeout: nothing that matters.
Screen::Event Screen::on_signal() {
    signalfd_siginfo what{};
    if (::read(signals_.get(), &what, sizeof what) != static_cast<ssize_t>(sizeof what)) {
        return Event::timeout;
    }
    if (what.ssi_signo == SIGWINCH) {
        return Event::redraw;
    }
    if (what.ssi_signo != SIGTSTP) {
        return Event::quit;
    }
    leave();
    ::raise(SIGSTOP);
    enter();
    return Event::redraw;
}

Screen::Event Screen::on_key() {
    char key = 0;
    if (::read(in_, &key, 1) != 1) {
        return Event::quit; // the terminal is gone
    }
    constexpr char ctrl_l = 'L' & 0x1f;
    return key == 'q' || key == 'Q' ? Event::quit : key == ctrl_l ? Event::redraw : Event::timeout;
}

} // namespace ekey::ctl
