#include "ekeyd/runtime/log.h"

#include <optional>
#include <utility>

#include <syslog.h>

#include "ekeyd/runtime/log_outlet.h"
#include "ekeyd/runtime/log_text.h"
#include "ekeyd/runtime/loop.h"

namespace ekey::log {

namespace {

// As listeners/throttle.h: what goes on for longer is told of again.
constexpr Duration remembered = std::chrono::minutes(1);

struct Last {
    Level level;
    std::string line;
    Time at;
};

struct State {
    Target target = Target::standard_error;
    const char* program = "ekeyd";
    Level most_verbose = Level::info;
    bool journal = false;
    StandardError standard_error;
    SystemLog system_log;
    Clock clock = loop_clock;
    std::optional<Last> last; // that was written
    unsigned repeats = 0;     // of it since
    unsigned lost = 0;        // lines that could not be written without waiting
};

State& state() {
    static State s;
    return s;
}

int priority(Level level) {
    switch (level) {
    case Level::error: return LOG_ERR;
    case Level::warning: return LOG_WARNING;
    case Level::notice: return LOG_NOTICE;
    case Level::info: return LOG_INFO;
    case Level::debug: return LOG_DEBUG;
    }
    return LOG_INFO;
}

bool put(Level level, const std::string& line) {
    State& s = state();
    if (s.target == Target::syslog) {
        return s.system_log.put(priority(level), s.program, line);
    }
    const std::string head =
        s.journal ? "<" + std::to_string(priority(level)) + ">" : std::string(s.program) + ": ";
    return s.standard_error.put(head + line + '\n');
}

// Who does not read the log loses lines, and the daemon loses no time.
bool emit(Level level, const std::string& line) {
    unsigned& lost = state().lost;
    if (lost > 0 && put(Level::warning,
                        "lines of the log were lost, its reader took none lost=" + std::to_string(lost))) {
        lost = 0;
    }
    if (lost > 0 || !put(level, line)) {
        ++lost;
        return false;
    }
    return true;
}

std::string line_of(std::string_view event, std::initializer_list<Field> fields) {
    std::string line;
    append_escaped(line, event);
    for (const Field& field : fields) {
        line += ' ';
        line += field.key;
        line += '=';
        if (is_plain(field.value)) {
            line += field.value;
        } else {
            line += '"';
            append_escaped(line, field.value);
            line += '"';
        }
    }
    return line;
}

void tell_repeats() {
    if (const unsigned repeats = std::exchange(state().repeats, 0); repeats > 0) {
        emit(state().last->level, "the line before was repeated repeated=" + std::to_string(repeats));
    }
}

void write_line(Level level, std::string line, bool asked_for) {
    State& s = state();
    const Time now = s.clock();
    const bool same = s.last && line == s.last->line && level == s.last->level;
    if (same && !asked_for && now < s.last->at + remembered) {
        ++s.repeats;
        return;
    }
    tell_repeats();
    if (emit(level, line)) {
        s.last = Last{level, std::move(line), now};
    } else {
        s.last.reset();
    }
}

} // namespace

Time loop_clock() {
    return Loop::now();
}

Result<Level> parse_level(std::string_view name) {
    constexpr std::string_view names[] = {"error", "warning", "notice", "info", "debug"};
    for (int i = 0; i < 5; ++i) {
        if (name == names[i]) {
            return static_cast<Level>(i);
        }
    }
    return fail("log-level: '" + std::string(name) + "' is none of error, warning, notice, info, debug");
}

void open(Target target, const char* program, Level most_verbose, Clock clock) {
    State& s = state();
    tell_repeats();
    s.last.reset();
    s.target = target;
    s.program = program;
    s.most_verbose = most_verbose;
    s.clock = clock;
    s.standard_error = {};
    s.system_log = {};
    s.journal = target == Target::standard_error && StandardError::is_journal();
    if (target == Target::syslog) {
        s.system_log.open();
    } else {
        s.standard_error.open();
    }
}

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
    if (level <= state().most_verbose) {
        write_line(level, line_of(event, fields), false);
    }
}

void answer(Level level, std::string_view event, std::initializer_list<Field> fields) {
    if (level <= state().most_verbose) {
        write_line(level, line_of(event, fields), true);
    }
}

void fault(std::string_view sentence) {
    if (state().target == Target::syslog || state().journal) {
        write_line(Level::error, line_of("cannot go on", {{"reason", sentence}}), true);
        return;
    }
    std::string line;
    append_escaped(line, sentence, Quotes::kept);
    write_line(Level::error, std::move(line), true);
}

} // namespace ekey::log
