// A client's end of the EKEYD/1 control protocol.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ekeyd/runtime/handle.h"
#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey::ctl {

// As long as ekeydctl 1.1.5 waits for a line.
inline constexpr Duration answer_timeout = std::chrono::seconds(3);

class Connection {
  public:
    // `where` is a path, unix:PATH or tcp:HOST:PORT (numeric host). Connects and reads the greeting. The
    // errors name the socket and what to do.
    static Result<Connection> open(const std::string& where, std::span<const int> interruptors = {});
    const std::string& where() const { return where_; } // as given

    // Waiting for an answer ends, with the error `interrupted`, when one of these descriptors is readable.
    // They are the caller's, and must outlive the connection. The rest of that answer is lost: the connection
    // is of no more use.
    static constexpr std::string_view interrupted = "interrupted";
    void end_wait_on(std::span<const int> descriptors) { interruptors_ = descriptors; }

    Result<void> send(std::string_view command); // without its line end

    struct Line {
        enum class Type { row, ok, end } type; // end: the daemon closed the connection
        std::string text;                      // of a row: after its "*<TAB>"; of ok: after "OK "
    };
    // The next line of an answer. "ERROR text" is an error with that text; so is silence for `timeout` (none:
    // waits for ever), and what is no EKEYD/1 line.
    Result<Line> next(std::optional<Duration> timeout = answer_timeout);

    struct Answer {
        std::vector<std::string> rows;
        std::string ok;
    };
    // Sends a command and reads its answer up to OK. The daemon's closing is an error.
    Result<Answer> ask(std::string_view command);

  private:
    Connection(Fd fd, std::string where) : fd_(std::move(fd)), where_(std::move(where)) {}
    Result<bool> read_line(std::string& line, std::optional<Duration> timeout); // false: closed

    Fd fd_;
    std::string where_;
    std::string in_;
    std::span<const int> interruptors_;
};

} // namespace ekey::ctl
