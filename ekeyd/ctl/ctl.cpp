#include "ekeyd/ctl/ctl.h"

#include <algorithm>

#include "ekeyd/config/address.h"
#include "ekeyd/config/settings.h"
#include "ekeyd/ctl/commands.h"
#include "ekeyd/ctl/text.h"
#include "ekeyd/runtime/standard_files.h"

namespace ekey::ctl {

namespace {

constexpr int done = 0, failed = 1, wrong_usage = 2;

const std::vector<std::string_view> long_options{"--socket", "--json", "--interval", "--help", "--version"};

struct Invocation {
    std::string socket, interval;
    bool help = false, version = false, json = false;
    std::vector<std::string> words; // the command and its arguments
};

void print(std::FILE* to, const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), to);
}

std::string usage() {
    std::string text = "Usage: ekeydctl [--socket PATH] COMMAND [ARGUMENT...]\nCommands:\n";
    for (const Command& command : command_table()) {
        std::string line = "  " + std::string(command.name) + ' ' + std::string(command.arguments);
        line.resize(std::max<std::size_t>(line.size() + 1, 26), ' ');
        text += line + std::string(command.help) + '\n';
    }
    return text + "Options:\n"
                  "  -s, --socket PATH       the control socket (as in ekeyd.conf, or /run/ekeyd.sock)\n"
                  "      --json              list, stats and health: as JSON\n"
                  "      --interval SECONDS  top: between two looks, 1 to 3600 (2)\n"
                  "  -h, --help              print this and exit\n"
                  "  -v, --version           print the version and exit\n"
                  "ID is a number, a serial or a path, as list shows them. See ekeydctl(8).\n";
}

// Reads the option at arguments[i], and its value after it. False: it is none of ours.
Result<bool> read_option(const std::vector<std::string>& arguments, std::size_t& i, Invocation& invocation) {
    const auto is = [&, given = arguments[i].substr(0, arguments[i].find('='))](std::string_view name) {
        return given == name;
    };
    const std::size_t equals = arguments[i].find('=');
    if (is("--socket") || arguments[i] == "-s" || is("--interval")) {
        const bool interval = is("--interval");
        if (equals == std::string::npos && i + 1 == arguments.size()) {
            return fail(arguments[i] + (interval ? " expects seconds" : " expects a path"));
        }
        std::string value = equals == std::string::npos ? arguments[++i] : arguments[i].substr(equals + 1);
        if (value.empty()) {
            return fail(std::string(interval ? "--interval expects seconds" : "--socket expects a path"));
        }
        (interval ? invocation.interval : invocation.socket) = std::move(value);
        return true;
    }
    const std::string& word = arguments[i];
    bool* const flag = word == "-h" || word == "--help"      ? &invocation.help
                       : word == "-v" || word == "--version" ? &invocation.version
                       : word == "--json"                    ? &invocation.json
                                                             : nullptr;
    if (flag != nullptr) {
        *flag = true;
    }
    return flag != nullptr;
}

// Options come first; the long ones also after the command, as people write them. After -- there is none.
Result<Invocation> read_arguments(const std::vector<std::string>& arguments) {
    Invocation invocation;
    bool options = true;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& word = arguments[i];
        if (options && word == "--") {
            options = false;
        } else if (options && word.starts_with('-') && (invocation.words.empty() || word.starts_with("--"))) {
            const auto known = read_option(arguments, i, invocation);
            if (!known) {
                return fail(known.error().what);
            }
            if (!*known) {
                const std::string_view near = config::nearest(word, long_options);
                return fail("unknown option " + word +
                            (near.empty() ? "" : ": did you mean " + std::string(near) + "?"));
            }
        } else {
            invocation.words.push_back(word);
        }
    }
    return invocation;
}

// What is wrong with the options that only some commands take; `job` gets their values.
Result<void> take_options(const Invocation& invocation, const Command& command, Job& job) {
    const std::string name(command.name);
    if (invocation.json && command.option != Option::json) {
        return fail(name + " takes no --json");
    }
    job.json = invocation.json;
    if (invocation.interval.empty()) {
        return {};
    }
    if (command.option != Option::interval) {
        return fail(name + " takes no --interval");
    }
    const auto seconds = config::parse_number("--interval", invocation.interval, 1, 3600);
    if (!seconds) {
        return fail(seconds.error().what);
    }
    job.interval = std::chrono::seconds(*seconds);
    return {};
}

// Where the daemon of this host listens: its configuration says, if we may read it.
std::string default_socket() {
    const char* const argv[] = {"ekeyd"};
    const auto request = config::read_settings(1, argv);
    if (request && !request->settings.control.empty()) {
        const auto address = config::parse_address(request->settings.control.front().value);
        return address->kind == "unix" ? address->rest : address->kind + ':' + address->rest;
    }
    return "/run/ekeyd.sock";
}

Result<const Command*> find_command(const std::vector<std::string>& words) {
    if (words.empty()) {
        return fail("a command is missing");
    }
    std::vector<std::string_view> names;
    for (const Command& command : command_table()) {
        names.push_back(command.name);
        if (command.name != words[0]) {
            continue;
        }
        const std::size_t given = words.size() - 1;
        const bool empty = std::find(words.begin() + 1, words.end(), "") != words.end();
        if (given < command.least || given > command.most || empty) {
            return fail("expected: ekeydctl " + words[0] + ' ' + std::string(command.arguments));
        }
        return &command;
    }
    const std::string_view near = config::nearest(words[0], names);
    return fail("unknown command " + words[0] +
                (near.empty() ? "" : ": did you mean " + std::string(near) + "?"));
}

// The exit status; what was printed has to get where it goes.
int finish(Result<void> carried_out, std::FILE* out, std::FILE* err) {
    if (carried_out) {
        carried_out = flush_output(out);
    }
    if (!carried_out) {
        print(err, "ekeydctl: " + clean(carried_out.error().what) + '\n');
        return failed;
    }
    return done;
}

} // namespace

int run(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err) {
    const auto invocation = read_arguments(arguments);
    if (!invocation) {
        print(err, "ekeydctl: " + invocation.error().what + '\n' + usage());
        return wrong_usage;
    }
    if (invocation->help || invocation->version) {
        print(out, invocation->help ? usage() : "ekeydctl " EKEYD_VERSION "\n");
        return finish({}, out, err);
    }
    const auto command = find_command(invocation->words);
    if (!command) {
        print(err, "ekeydctl: " + command.error().what + '\n' + usage());
        return wrong_usage;
    }
    Job job{{invocation->words.begin() + 1, invocation->words.end()}, out, err};
    if (auto taken = take_options(*invocation, **command, job); !taken) {
        print(err, "ekeydctl: " + taken.error().what + '\n');
        return wrong_usage;
    }
    if ((*command)->prepare != nullptr) {
        if (auto prepared = (*command)->prepare(job); !prepared) {
            print(err, "ekeydctl: " + prepared.error().what + '\n');
            return wrong_usage;
        }
    }
    Result<void> carried_out;
    if ((*command)->local != nullptr) {
        carried_out = (*command)->local(job);
    } else {
        auto connection =
            Connection::open(invocation->socket.empty() ? default_socket() : invocation->socket);
        carried_out = connection ? (*command)->run(*connection, job) : fail(connection.error().what);
    }
    return finish(std::move(carried_out), out, err);
}

} // namespace ekey::ctl
