#include "ekeyd/rekey/terminal.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "protocol/bytes.h"

namespace ekey::rekey {

namespace {

// A master key with a blank at every character fits; a longer line is none.
using Line = SecretArray<128>;

constexpr std::array signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGTSTP};

volatile std::sig_atomic_t caught = 0;
void remember(int signal) {
    caught = signal;
}

// Catches what would end or stop us, so that the terminal can be put right first. The signals come through
// only inside wait_for_input(): one that came just before a read would otherwise wait for the next key.
class SignalGuard {
  public:
    SignalGuard() {
        caught = 0;
        sigset_t blocked;
        ::sigemptyset(&blocked);
        struct sigaction action {};
        action.sa_handler = remember;
        for (std::size_t i = 0; i < signals.size(); ++i) {
            ::sigaddset(&blocked, signals[i]);
            ::sigaction(signals[i], &action, &before_[i]);
        }
        ::sigprocmask(SIG_BLOCK, &blocked, &outside_);
    }
    ~SignalGuard() {
        for (std::size_t i = 0; i < signals.size(); ++i) {
            ::sigaction(signals[i], &before_[i], nullptr);
        }
        ::sigprocmask(SIG_SETMASK, &outside_, nullptr);
    }
    SignalGuard(const SignalGuard&) = delete;
    SignalGuard& operator=(const SignalGuard&) = delete;

    // False: a signal came.
    bool wait_for_input() const {
        pollfd input{STDIN_FILENO, POLLIN, 0};
        while (caught == 0 && ::ppoll(&input, 1, nullptr, &outside_) < 0 && errno == EINTR) {
        }
        return caught == 0;
    }

  private:
    std::array<struct sigaction, signals.size()> before_{};
    sigset_t outside_{};
};

class EchoOff {
  public:
    EchoOff() {
        known_ = ::tcgetattr(STDIN_FILENO, &before_) == 0;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL);
        off_ = known_ && ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
    }
    ~EchoOff() {
        if (known_) {
            ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
        }
    }
    EchoOff(const EchoOff&) = delete;
    EchoOff& operator=(const EchoOff&) = delete;
    explicit operator bool() const { return off_; }

  private:
    termios before_{};
    bool known_ = false, off_ = false;
};

enum class Read { line, too_long, end, interrupted };

// One byte at a time: what follows the line on standard input is not ours.
Read read_line(Line& line, std::size_t& size, const SignalGuard* guard) {
    size = 0;
    while (true) {
        if (guard != nullptr && !guard->wait_for_input()) {
            return Read::interrupted;
        }
        char c = 0;
        const ssize_t got = ::read(STDIN_FILENO, &c, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0 || c == '\n') {
            return got <= 0 && size == 0 ? Read::end : size > line.size() ? Read::too_long : Read::line;
        }
        if (size < line.size()) {
            line.data()[size] = static_cast<Byte>(c);
        }
        size += size <= line.size() ? 1 : 0;
    }
}

Result<entropykey::MasterKey> parse(Read read, const Line& line, std::size_t size) {
    switch (read) {
    case Read::line: return entropykey::parse_master_key(as_text(ByteView(line.span()).first(size)));
    case Read::too_long: return fail("this is too long for a master key");
    case Read::end:
    case Read::interrupted: break;
    }
    return fail("no master key was given");
}

Read ask_once(const std::string& serial, Line& line, std::size_t& size) {
    const std::string prompt = "Master key of " + serial + " (from its card; not shown): ";
    while (true) {
        Read read = Read::end;
        {
            const SignalGuard guard;
            const EchoOff silence;
            if (!silence) {
                return Read::end; // better no key than one on the screen
            }
            std::fputs(prompt.c_str(), stderr);
            read = read_line(line, size, &guard);
            std::fputs("\n", stderr);
        }
        if (read != Read::interrupted) {
            return read;
        }
        std::raise(caught); // ends us here; or stops us, and we ask again when we go on
    }
}

} // namespace

Result<entropykey::MasterKey> ask_master_key(const std::string& serial) {
    Line line;
    std::size_t size = 0;
    if (::isatty(STDIN_FILENO) == 0) {
        const Read read = read_line(line, size, nullptr);
        return parse(read, line, size);
    }
    for (int tries = 3;; --tries) {
        const Read read = ask_once(serial, line, size);
        auto key = parse(read, line, size);
        if (key || read == Read::end || tries == 1) {
            return key;
        }
        std::fprintf(stderr, "%s\n", key.error().what.c_str());
    }
}

} // namespace ekey::rekey
