// The log: one line an event, `key=value` fields, no repeats. Never a secret: callers pass serials, paths,
// counts and states, never keys or entropy.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey::log {

enum class Level { error, warning, notice, info, debug };
enum class Target { standard_error, syslog };

// "error", "warning", "notice", "info" or "debug".
Result<Level> parse_level(std::string_view name);

// A monotonic clock; the loop's unless a test has its own.
using Clock = Time (*)();
Time loop_clock();

// Standard error carries journald's <N> priorities when it is what JOURNAL_STREAM names. `program` must
// outlive the log. Neither target is ever waited for: a line that a full pipe, a stopped terminal or a busy
// syslog does not take is lost, and the number of those is written once there is room again.
void open(Target target, const char* program, Level most_verbose, Clock clock = loop_clock);

struct Field {
    std::string_view key;
    std::string value;
    Field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
    Field(std::string_view k, std::string_view v) : key(k), value(v) {}
    Field(std::string_view k, const char* v) : key(k), value(v) {}
    template <class Number>
    requires std::is_arithmetic_v<Number> Field(std::string_view k, Number v)
        : key(k), value(std::to_string(v)) {}
};

// `event` is a short sentence. Values with spaces, quotes, =, other than printable ASCII or nothing in them
// are quoted and escaped (log_text.h), so that bytes from outside cannot forge a line or a field. A line
// equal to the one before is counted; the count is written, with that line's level, before the next different
// line
// ("repeated=N"), or before the same one when it comes after a minute.
void write(Level level, std::string_view event, std::initializer_list<Field> fields = {});

// The answer to somebody who asked for something, such as a reload: written even when it repeats the line
// before.
void answer(Level level, std::string_view event, std::initializer_list<Field> fields = {});

// What ends the program, or keeps it from starting: an error. A person who started it sees "PROGRAM:
// SENTENCE"; in the journal and the system's log it is an event with the sentence in its field reason.
void fault(std::string_view sentence);

inline void error(std::string_view event, std::initializer_list<Field> f = {}) {
    write(Level::error, event, f);
}
inline void warning(std::string_view event, std::initializer_list<Field> f = {}) {
    write(Level::warning, event, f);
}
inline void notice(std::string_view event, std::initializer_list<Field> f = {}) {
    write(Level::notice, event, f);
}
inline void info(std::string_view event, std::initializer_list<Field> f = {}) {
    write(Level::info, event, f);
}
inline void debug(std::string_view event, std::initializer_list<Field> f = {}) {
    write(Level::debug, event, f);
}

} // namespace ekey::log
