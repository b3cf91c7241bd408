#include "ekeyd/ctl/ctl.h"

#include <algorithm>

#include "ekeyd/config/address.h"
#include "ekeyd/config/settings.h"
#include "ekeyd/ctl/commands.h"

namespace ekey::ctl {

namespace {

constexpr int done = 0, failed = 1, wrong_usage = 2;

struct Invocation {
    std::string socket;
    bool help = false, version = false;
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
                  "  -h, --help              print this and exit\n"
                  "  -v, --version           print the version and exit\n"
                  "ID is a number, a serial or a path, as list shows them. See ekeydctl(8).\n";
}

Result<Invocation> read_arguments(const std::vector<std::string>& arguments) {
    Invocation invocation;
    std::size_t i = 0;
    for (; i < arguments.size() && arguments[i].starts_with('-'); ++i) {
        const std::string& word = arguments[i];
        if (word == "--") {
            ++i;
            break;
        }
        if (word == "-h" || word == "--help") {
            invocation.help = true;
        } else if (word == "-v" || word == "--version") {
            invocation.version = true;
        } else if (word.starts_with("--socket=")) {
            invocation.socket = word.substr(9);
        } else if ((word == "-s" || word == "--socket") && i + 1 < arguments.size()) {
            invocation.socket = arguments[++i];
        } else if (word == "-s" || word == "--socket") {
            return fail(word + " expects a path");
        } else {
            return fail("unknown option " + word);
        }
    }
    invocation.words.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
    return invocation;
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

} // namespace

int run(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err) {
    const auto invocation = read_arguments(arguments);
    if (!invocation) {
        print(err, "ekeydctl: " + invocation.error().what + '\n' + usage());
        return wrong_usage;
    }
    if (invocation->help || invocation->version) {
        print(out, invocation->help ? usage() : "ekeydctl " EKEYD_VERSION "\n");
        return done;
    }
    const auto command = find_command(invocation->words);
    if (!command) {
        print(err, "ekeydctl: " + command.error().what + '\n' + usage());
        return wrong_usage;
    }
    Job job{{invocation->words.begin() + 1, invocation->words.end()}, out, err};
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
    if (carried_out && std::fflush(out) != 0) {
        carried_out = fail("cannot write to standard output");
    }
    if (!carried_out) {
        print(err, "ekeydctl: " + carried_out.error().what + '\n');
        return failed;
    }
    return done;
}

} // namespace ekey::ctl
