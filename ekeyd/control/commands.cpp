#include "ekeyd/control/commands.h"

#include <algorithm>
#include <vector>

#include "ekeyd/config/address.h"
#include "ekeyd/config/kinds.h"

namespace ekey::control {

namespace {

using Arguments = std::vector<config::Argument>;
using config::Role;

struct Command {
    std::string_view name;
    std::size_t least, most; // arguments
    std::string_view usage, help;
    Outcome (*run)(Subject&, const Arguments&, Answer&);
};

// As in Lua, ekeyd 1.1.5's commands let further arguments pass.
constexpr std::size_t any = config::most_arguments;

Outcome list_sources(Subject& subject, const Arguments&, Answer& answer) {
    answer.row({"NR", "OK", "Status", "Path", "SerialNo"});
    for (const SourceRow& row : subject.sources()) {
        const SourceStatus& s = row.status;
        const std::string number = std::to_string(row.number);
        const std::string_view ok = s.ok ? "YES" : "NO";
        if (s.serial.empty()) { // 1.1.5 leaves the column out
            answer.row({number, ok, s.word, s.path});
        } else {
            answer.row({number, ok, s.word, s.path, s.serial});
        }
    }
    answer.ok();
    return {};
}

// Calls `use` with the number of the source that the first argument names, or answers why there is none.
template <class Use>
void with_source(Subject& subject, const Arguments& arguments, Answer& answer, Use use) {
    const auto number = subject.find(arguments[0].text);
    if (!number) {
        answer.error(number.error().what);
    } else {
        use(*number);
    }
}

void answer_done(const Result<void>& done, Answer& answer) {
    if (done) {
        answer.ok();
    } else {
        answer.error(done.error().what);
    }
}

Outcome statistics(Subject& subject, const Arguments& arguments, Answer& answer) {
    with_source(subject, arguments, answer, [&](unsigned number) {
        const auto found = subject.statistics(number);
        if (!found) {
            answer.error(found.error().what);
            return;
        }
        for (const auto& [name, value] : *found) {
            answer.row({name + '=' + value});
        }
        answer.ok();
    });
    return {};
}

Outcome add_source(Subject& subject, const Arguments& arguments, Answer& answer) {
    const std::string& where = arguments[0].text;
    if (!where.starts_with('/')) {
        if (auto address = config::check_address(Role::source, where); !address) {
            answer.error(address.error().what);
            return {};
        }
    }
    std::optional<std::string_view> serial;
    if (arguments.size() > 1) {
        serial = arguments[1].text;
    }
    const auto number = subject.add_source(where, serial);
    if (number) {
        answer.ok("ID " + std::to_string(*number));
    } else {
        answer.error(number.error().what);
    }
    return {};
}

Outcome add_directory(Subject& subject, const Arguments& arguments, Answer& answer) {
    answer_done(subject.add_directory(arguments[0].text), answer);
    return {};
}

Outcome remove_source(Subject& subject, const Arguments& arguments, Answer& answer) {
    if (subject.remove_finder(arguments[0].text)) {
        answer.ok();
    } else {
        with_source(subject, arguments, answer,
                    [&](unsigned number) { answer_done(subject.remove_source(number), answer); });
    }
    return {};
}

Outcome reset_source(Subject& subject, const Arguments& arguments, Answer& answer) {
    with_source(subject, arguments, answer,
                [&](unsigned number) { answer_done(subject.reset_source(number), answer); });
    return {};
}

Outcome load_keyring(Subject& subject, const Arguments& arguments, Answer& answer) {
    const auto count = subject.load_keyring(arguments[0].text);
    if (count) {
        answer.ok(std::to_string(*count));
    } else {
        answer.error(count.error().what);
    }
    return {};
}

Outcome health(Subject& subject, const Arguments& arguments, Answer& answer) {
    const auto report = [&](std::optional<unsigned> number) {
        const auto lines = subject.health(number);
        if (!lines) {
            answer.error(lines.error().what);
            return;
        }
        for (const std::string& line : *lines) {
            answer.columns(line);
        }
        answer.ok();
    };
    if (arguments.empty()) {
        report(std::nullopt);
    } else {
        with_source(subject, arguments, answer, report);
    }
    return {};
}

Outcome capture(Subject& subject, const Arguments& arguments, Answer& answer) {
    // A bound that no wish reaches, so that counts never overflow: 2^40 bytes take an Entropy Key ten years.
    const auto bytes =
        config::parse_number("the number of bytes", arguments[1].text, 1, std::uint64_t{1} << 40);
    Outcome outcome;
    if (!bytes) {
        answer.error(bytes.error().what);
        return outcome;
    }
    with_source(subject, arguments, answer, [&](unsigned number) { outcome = {false, number, *bytes}; });
    return outcome;
}

using Change = Result<void> (Subject::*)(std::string_view);
template <Change change, Role role>
Outcome change_address(Subject& subject, const Arguments& arguments, Answer& answer) {
    if (auto address = config::check_address(role, arguments[0].text); !address) {
        answer.error(address.error().what);
    } else {
        answer_done((subject.*change)(arguments[0].text), answer);
    }
    return {};
}

template <std::vector<std::string> (Subject::*list)() const>
Outcome list_addresses(Subject& subject, const Arguments&, Answer& answer) {
    for (const std::string& line : (subject.*list)()) {
        answer.columns(line);
    }
    answer.ok();
    return {};
}

Outcome shutdown(Subject& subject, const Arguments&, Answer& answer) {
    answer.ok();
    subject.shutdown();
    return {true};
}

Outcome reload(Subject& subject, const Arguments&, Answer& answer) {
    const auto done = subject.reload();
    if (done) {
        answer.ok(*done);
    } else {
        answer.error(done.error().what);
    }
    return {};
}

Outcome bye(Subject&, const Arguments&, Answer& answer) {
    answer.ok("Good bye");
    return {true};
}

Outcome version(Subject&, const Arguments&, Answer& answer) {
    answer.ok("ekeyd " EKEYD_VERSION);
    return {};
}

Outcome help(Subject&, const Arguments&, Answer& answer);

constexpr Command commands[] = {
    // ekeyd 1.1.5
    {"ListEntropyKeys", 0, any, "ListEntropyKeys", "every source, a line each", list_sources},
    {"StatEntropyKey", 1, any, "StatEntropyKey(\"ID\")", "statistics; ID is a number, a serial or a path",
     statistics},
    {"AddEntropyKey", 1, any, "AddEntropyKey(\"PATH\"[, \"SERIAL\"])",
     "add a key, or a source by its address", add_source},
    {"AddEntropyKeys", 1, any, "AddEntropyKeys(\"FOLDER\")", "add every key in a folder", add_directory},
    {"RemoveEntropyKey", 1, any, "RemoveEntropyKey(\"ID\")", "remove a source", remove_source},
    {"Keyring", 1, any, "Keyring(\"FILE\")", "read long-term keys", load_keyring},
    {"Shutdown", 0, any, "Shutdown", "end the daemon", shutdown},
    {"Bye", 0, any, "Bye", "end this connection", bye},
    // ours
    {"ListSources", 0, 0, "ListSources", "as ListEntropyKeys", list_sources},
    {"Health", 0, 1, "Health([\"ID\"])", "health of one source, or of all", health},
    {"ResetEntropyKey", 1, 1, "ResetEntropyKey(\"ID\")", "begin a source's session anew", reset_source},
    {"Capture", 2, 2, "Capture(\"ID\", BYTES)", "divert unconditioned bytes of a source, in base64", capture},
    {"AddListener", 1, 1, "AddListener(\"ADDRESS\")", "serve clients at an address",
     change_address<&Subject::add_listener, Role::listen>},
    {"RemoveListener", 1, 1, "RemoveListener(\"ADDRESS\")", "stop serving there",
     change_address<&Subject::remove_listener, Role::listen>},
    {"ListListeners", 0, 0, "ListListeners", "every listener and its counters",
     list_addresses<&Subject::listeners>},
    {"AddSink", 1, 1, "AddSink(\"ADDRESS\")", "push bytes to a place",
     change_address<&Subject::add_sink, Role::sink>},
    {"RemoveSink", 1, 1, "RemoveSink(\"ADDRESS\")", "stop pushing there",
     change_address<&Subject::remove_sink, Role::sink>},
    {"ListSinks", 0, 0, "ListSinks", "every sink and its state", list_addresses<&Subject::sinks>},
    {"Reload", 0, 0, "Reload", "read the configuration again", reload},
    {"Version", 0, 0, "Version", "the daemon's version", version},
    {"Help", 0, 0, "Help", "this list", help},
};

Outcome help(Subject&, const Arguments&, Answer& answer) {
    for (const Command& command : commands) {
        answer.row({command.usage, command.help});
    }
    answer.ok();
    return {};
}

std::string unknown(const std::string& name) {
    std::vector<std::string_view> names;
    for (const Command& command : commands) {
        names.push_back(command.name);
    }
    const std::string_view near = config::nearest(name, names);
    return "unknown command " + name.substr(0, 64) +
           (near.empty() ? ": Help lists them" : ": did you mean " + std::string(near) + "?");
}

} // namespace

Outcome execute(Subject& subject, const config::Call& call, Answer& answer) {
    const auto* command = std::find_if(std::begin(commands), std::end(commands),
                                       [&](const Command& c) { return c.name == call.name; });
    if (command == std::end(commands)) {
        answer.error(unknown(call.name));
        return {};
    }
    const Arguments& given = call.arguments;
    bool fits = given.size() >= command->least && given.size() <= command->most;
    for (std::size_t i = 0; i < std::min(command->least, given.size()); ++i) {
        fits = fits && !given[i].text.empty(); // neither nil nor ""
    }
    if (!fits) {
        answer.error("expected " + std::string(command->usage));
        return {};
    }
    return command->run(subject, given, answer);
}

} // namespace ekey::control
