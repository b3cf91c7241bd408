// The log: one line an event, `key=value` fields, no repeats. Never a secret: callers pass serials, paths,
// counts and states, never keys or entropy.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "protocol/result.h"

namespace ekey::log {

enum class Level { error, warning, notice, info, debug };
enum class Target { standard_error, syslog };

// "error", "warning", "notice", "info" or "debug".
Result<Level> parse_level(std::string_view name);

// Standard error carries journald's <N> priorities when JOURNAL_STREAM is set. `program` must outlive the
// log. Neither target is ever waited for: a line that a full pipe, a stopped terminal or a busy syslog does
// not take is lost, and the number of those is written once there is room again.
void open(Target target, const char* program, Level most_verbose);

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

// `event` is a short sentence. Values with spaces, quotes, control characters or none at all are quoted and
// escaped, so that bytes from outside cannot forge a line. A line equal to the one before is counted, and the
// count is written before the next different line ("repeated=N").
void write(Level level, std::string_view event, std::initializer_list<Field> fields = {});

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
