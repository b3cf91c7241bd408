#include "ekeyd/runtime/log.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include <syslog.h>

#include "ekeyd/runtime/log_outlet.h"

namespace ekey::log {

namespace {

struct State {
    Target target = Target::standard_error;
    const char* program = "ekeyd";
    Level most_verbose = Level::info;
    bool journal = false;
    StandardError standard_error;
    SystemLog system_log;
    std::string last;
    unsigned repeats = 0;
    unsigned lost = 0; // lines that could not be written without waiting
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

bool plain(std::string_view value) {
    if (value.empty()) {
        return false;
    }
    for (const char c : value) {
        if (c <= ' ' || c == '"' || c == '\\' || c == 0x7f) {
            return false;
        }
    }
    return true;
}

void append_escaped(std::string& line, std::string_view text) {
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            line += '\\';
            line += c;
        } else if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
            char escape[5];
            std::snprintf(escape, sizeof escape, "\\x%02x",
                          static_cast<unsigned>(static_cast<unsigned char>(c)));
            line += escape;
        } else {
            line += c;
        }
    }
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
void emit(Level level, const std::string& line) {
    unsigned& lost = state().lost;
    if (lost > 0 && put(Level::warning,
                        "lines of the log were lost, its reader took none lost=" + std::to_string(lost))) {
        lost = 0;
    }
    if (lost > 0 || !put(level, line)) {
        ++lost;
    }
}

} // namespace

Result<Level> parse_level(std::string_view name) {
    constexpr std::string_view names[] = {"error", "warning", "notice", "info", "debug"};
    for (int i = 0; i < 5; ++i) {
        if (name == names[i]) {
            return static_cast<Level>(i);
        }
    }
    return fail("log-level: '" + std::string(name) + "' is none of error, warning, notice, info, debug");
}

void open(Target target, const char* program, Level most_verbose) {
    State& s = state();
    s.target = target;
    s.program = program;
    s.most_verbose = most_verbose;
    s.journal = std::getenv("JOURNAL_STREAM") != nullptr;
    s.standard_error = {};
    s.system_log = {};
    if (target == Target::syslog) {
        s.system_log.open();
    } else {
        s.standard_error.open();
    }
}

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
    State& s = state();
    if (level > s.most_verbose) {
        return;
    }
    std::string line;
    append_escaped(line, event);
    for (const Field& field : fields) {
        line += ' ';
        line += field.key;
        line += '=';
        if (plain(field.value)) {
            line += field.value;
        } else {
            line += '"';
            append_escaped(line, field.value);
            line += '"';
        }
    }
    if (line == s.last) {
        ++s.repeats;
        return;
    }
    if (s.repeats > 0) {
        emit(level, "the line before was repeated repeated=" + std::to_string(s.repeats));
        s.repeats = 0;
    }
    emit(level, line);
    s.last = std::move(line);
}

} // namespace ekey::log
