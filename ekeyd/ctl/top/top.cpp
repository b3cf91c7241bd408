#include "ekeyd/ctl/top/top.h"

#include <cstdlib>
#include <optional>
#include <thread>

#include <sys/ioctl.h>
#include <unistd.h>

#include "ekeyd/ctl/text.h"
#include "ekeyd/ctl/top/screen.h"
#include "ekeyd/ctl/top/view.h"

namespace ekey::ctl {

namespace {

bool can_be_drawn_on(int fd) {
    const char* const terminal = std::getenv("TERM");
    return isatty(fd) != 0 && (terminal == nullptr || std::string_view(terminal) != "dumb");
}

Result<void> print_once(Connection& connection, const Job& job) {
    const auto first = take_sample(connection);
    if (!first) {
        return fail(first.error().what);
    }
    std::this_thread::sleep_for(job.interval);
    const auto second = take_sample(connection);
    if (!second) {
        return fail(second.error().what);
    }
    winsize window{}; // of a terminal that cannot be drawn on
    const bool narrow = ioctl(fileno(job.out), TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
    for (const ViewLine& line : view(*second, &*first, narrow ? window.ws_col : any_width)) {
        std::fprintf(job.out, "%s\n", line.text.c_str());
    }
    return {};
}

// The last two looks, and the connection that they come by.
class Watch {
  public:
    Watch(Connection connection, std::span<const int> interruptors)
        : where_(connection.where()), interruptors_(interruptors), connection_(std::move(connection)) {
        connection_->end_wait_on(interruptors_);
    }

    void look() {
        if (!connection_) {
            auto opened = Connection::open(where_, interruptors_);
            if (!opened) {
                lost(opened.error().what);
                return;
            }
            connection_ = std::move(*opened);
        }
        auto sample = take_sample(*connection_);
        if (!sample) {
            connection_.reset(); // whatever is left of the answer goes with it
            lost(sample.error().what);
            return;
        }
        trouble_.clear();
        before_ = std::exchange(now_, std::move(*sample));
    }

    std::vector<ViewLine> lines(std::size_t width) const {
        std::vector<ViewLine> lines;
        if (!trouble_.empty()) {
            for (std::string& one : wrap("! " + clean_ascii(trouble_), width, 2)) {
                lines.push_back({ViewLine::Style::trouble, std::move(one)});
            }
            lines.push_back({ViewLine::Style::plain, now_ ? "What it said last:" : ""});
        }
        if (now_) {
            const auto rest = view(*now_, before_ ? &*before_ : nullptr, width);
            lines.insert(lines.end(), rest.begin(), rest.end());
        }
        return lines;
    }

  private:
    void lost(const std::string& why) {
        if (why != Connection::interrupted) {
            trouble_ = why;
        }
    }

    std::string where_;
    std::span<const int> interruptors_;
    std::optional<Connection> connection_;
    std::optional<Sample> now_, before_;
    std::string trouble_; // empty: it answered
};

} // namespace

Result<void> top(Connection& connection, const Job& job) {
    if (!can_be_drawn_on(fileno(job.out))) {
        return print_once(connection, job);
    }
    auto screen = Screen::open(STDIN_FILENO, fileno(job.out));
    if (!screen) {
        return fail(screen.error().what);
    }
    Watch watch(std::move(connection), screen->descriptors());
    for (Time next = std::chrono::steady_clock::now();;) {
        if (std::chrono::steady_clock::now() >= next) {
            watch.look();
            next = std::chrono::steady_clock::now() + job.interval;
        }
        const Screen::Size window = screen->size();
        screen->draw(watch.lines(window.columns), window);
        if (screen->next(next) == Screen::Event::quit) {
            return {};
        }
    }
}

} // namespace ekey::ctl
