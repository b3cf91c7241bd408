// Where the log's lines go, without ever waiting there.
#pragma once

#include <string>

#include "ekeyd/runtime/handle.h"

namespace ekey::log {

// Standard error: a pipe, a terminal, a file, or a socket (journald's).
class StandardError {
  public:
    // Whether it is the stream that JOURNAL_STREAM names by device and inode (systemd.exec(5)): the variable
    // is inherited by programs whose standard error was sent elsewhere.
    static bool is_journal();
    // Looks at what it is now; again after it was replaced. The blocking mode of the descriptor, which others
    // may share, is left as it is.
    void open();
    // False when `text` would have had to wait, or could not be written.
    bool put(const std::string& text) const;

  private:
    Fd own_; // the same pipe or terminal, opened anew without blocking
    bool socket_ = false, may_block_ = false;
};

// The system's log at /dev/log (RFC 3164, as syslog(3) writes it). Not by syslog(3): that waits while the
// log's queue is full.
class SystemLog {
  public:
    void open(); // also reads the time zone
    // `priority` as in syslog(3); the facility is LOG_DAEMON. False when it would have had to wait, or nobody
    // listens. A log that was started anew is found again.
    bool put(int priority, const char* program, const std::string& line);

  private:
    enum class Outcome { done, full, gone };
    Outcome send(const std::string& message);

    Fd socket_;
    bool stream_ = false;
};

} // namespace ekey::log
