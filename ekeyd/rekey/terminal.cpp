#include "ekeyd/rekey/terminal.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>

#include <termios.h>
#include <unistd.h>

#include "protocol/bytes.h"

namespace ekey::rekey {

namespace {

// A master key with a blank at every character fits; a longer line is none.
using Line = SecretArray<128>;

constexpr std::array signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU};

volatile std::sig_atomic_t caught = 0;
void remember(int signal) {
    caught = signal;
}

// Catches what would end or stop us, so that a blocking read returns and the terminal can be put right first.
class SignalGuard {
  public:
    SignalGuard() {
        caught = 0;
        struct sigaction action {};
        action.sa_handler = remember; // without SA_RESTART: read() returns
        for (std::size_t i = 0; i < signals.size(); ++i) {
            ::sigaction(signals[i], &action, &before_[i]);
        }
    }
    ~SignalGuard() {
        for (std::size_t i = 0; i < signals.size(); ++i) {
            ::sigaction(signals[i], &before_[i], nullptr);
        }
    }
    SignalGuard(const SignalGuard&) = delete;
    SignalGuard& operator=(const SignalGuard&) = delete;

  private:
    std::array<struct sigaction, signals.size()> before_{};
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
            // A signal must not keep the terminal mute.
            while (::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_) != 0 && errno == EINTR) {
            }
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
Read read_line(Line& line, std::size_t& size) {
    size = 0;
    while (true) {
        char c = 0;
        const ssize_t got = ::read(STDIN_FILENO, &c, 1);
        if (got < 0 && errno == EINTR) {
            if (caught != 0) {
                return Read::interrupted;
            }
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
            if (!silence && caught == 0) {
                return Read::end; // better no key than one on the screen
            }
            std::fputs(prompt.c_str(), stderr);
            read = caught != 0 ? Read::interrupted : read_line(line, size);
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
        const Read read = read_line(line, size);
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
