#include "ekeyd/ctl/commands.h"

#include <algorithm>
#include <filesystem>

#include <sodium.h>
#include <unistd.h>

#include "ekeyd/config/address.h"
#include "ekeyd/config/call.h"
#include "ekeyd/ctl/identity.h"
#include "ekeyd/ctl/json.h"
#include "ekeyd/ctl/text.h"
#include "ekeyd/ctl/top/top.h"

namespace ekey::ctl {

namespace {

using Answer = Connection::Answer;

std::string call(std::string_view name, const std::vector<std::string>& arguments) {
    std::string text(name);
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        text += (i == 0 ? "(" : ",") + config::quote_for_call(arguments[i]);
    }
    return text + (arguments.empty() ? "" : ")");
}

void print_line(const Job& job, std::string_view text) {
    const std::string line = clean(text) + '\n';
    std::fwrite(line.data(), 1, line.size(), job.out);
}

void print_json(const Job& job, const std::string& json) {
    std::fprintf(job.out, "%s\n", json.c_str());
}

std::string with_commas(std::string row) {
    std::replace(row.begin(), row.end(), '\t', ',');
    return row;
}

// Relative paths are the caller's: the daemon runs in the root folder.
Result<void> make_absolute(Job& job) {
    std::error_code error;
    const auto path = std::filesystem::absolute(job.arguments[0], error);
    if (error) {
        return fail("cannot tell where " + job.arguments[0] + " is: " + error.message());
    }
    job.arguments[0] = path.string();
    return {};
}

Result<void> make_path_absolute(Job& job) {
    // What has a kind is an address; a path with a colon in it can be written ./a:b.
    const std::string& where = job.arguments[0];
    return where.find(':') < where.find('/') ? Result<void>{} : make_absolute(job);
}

Result<void> silently(Connection& connection, std::string_view name, const Job& job) {
    const auto answer = connection.ask(call(name, job.arguments));
    return answer ? Result<void>{} : fail(answer.error().what);
}

Result<void> list(Connection& connection, const Job& job) {
    const auto answer = connection.ask("ListEntropyKeys");
    if (!answer) {
        return fail(answer.error().what);
    }
    if (job.json) {
        print_json(job, json_list(answer->rows));
        return {};
    }
    for (const std::string& row : answer->rows) {
        print_line(job, with_commas(row));
    }
    return {};
}

Result<void> stats(Connection& connection, const Job& job) {
    auto answer = connection.ask(call("StatEntropyKey", job.arguments));
    if (!answer) {
        return fail(answer.error().what);
    }
    std::sort(answer->rows.begin(), answer->rows.end());
    if (job.json) {
        print_json(job, json_object(answer->rows));
        return {};
    }
    for (const std::string& row : answer->rows) {
        print_line(job, row);
    }
    return {};
}

Result<void> keyring(Connection& connection, const Job& job) {
    const auto answer = connection.ask(call("Keyring", job.arguments));
    if (!answer) {
        return fail(answer.error().what);
    }
    if (answer->ok == "-1") { // ekeyd 1.1.5 says so
        return fail("ekeyd cannot read " + job.arguments[0]);
    }
    if (answer->ok == "0") {
        std::fprintf(job.err, "ekeydctl: warning: %s holds no key\n", job.arguments[0].c_str());
    }
    return {};
}

Result<void> shut_down(Connection& connection, const Job&) {
    if (auto sent = connection.send("Shutdown"); !sent) {
        return sent;
    }
    const auto line = connection.next(); // ekeyd 1.1.5 closes without an answer
    return line ? Result<void>{} : fail(line.error().what);
}

Result<void> show(Connection& connection, const Job& job) {
    const struct {
        const char *title, *command;
    } parts[] = {{"Sources", "ListSources"}, {"Listeners", "ListListeners"}, {"Sinks", "ListSinks"}};
    for (const auto& part : parts) {
        const auto answer = connection.ask(part.command);
        if (!answer) {
            return fail(answer.error().what);
        }
        print_line(job, part.title);
        for (std::string row : answer->rows) {
            std::replace(row.begin(), row.end(), '\t', ' ');
            print_line(job, "  " + row);
        }
    }
    return {};
}

Result<void> check_capture(Job& job) {
    const auto bytes = config::parse_number("BYTES", job.arguments[1], 1, std::uint64_t{1} << 40);
    if (!bytes) {
        return fail(bytes.error().what);
    }
    if (isatty(fileno(job.out)) != 0) {
        return fail(
            "capture writes bytes, and standard output is a terminal: send it to a file or a program");
    }
    return {};
}

Result<void> write_decoded(const std::string& row, const Job& job) {
    Byte bytes[48 * 1024]; // a row is at most 64 KiB of base64
    std::size_t size = 0;
    if (sodium_base642bin(bytes, sizeof bytes, row.data(), row.size(), nullptr, &size, nullptr,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return fail("ekeyd sent what is no base64");
    }
    if (std::fwrite(bytes, 1, size, job.out) != size || std::fflush(job.out) != 0) {
        return fail("cannot write to standard output");
    }
    return {};
}

Result<void> capture(Connection& connection, const Job& job) {
    if (auto sent = connection.send("Capture(" + config::quote_for_call(job.arguments[0]) + ',' +
                                    job.arguments[1] + ')');
        !sent) {
        return sent;
    }
    for (;;) {
        const auto line = connection.next(std::nullopt); // a source may take its time
        if (!line || line->type == Connection::Line::Type::end) {
            std::fflush(job.out);
            return fail(line ? "ekeyd has ended before the capture was complete" : line.error().what);
        }
        if (line->type == Connection::Line::Type::ok) {
            return {};
        }
        if (auto written = write_decoded(line->text, job); !written) {
            return written;
        }
    }
}

template <const char* name>
Result<void> quiet(Connection& connection, const Job& job) {
    return silently(connection, name, job);
}

Result<void> reload(Connection& connection, const Job& job) {
    const auto answer = connection.ask("Reload");
    if (!answer) {
        return fail(answer.error().what);
    }
    if (!answer->ok.empty()) {
        std::fprintf(job.err, "ekeydctl: warning: %s\n", clean(answer->ok).c_str());
    }
    return {};
}

constexpr char add_name[] = "AddEntropyKey", addall_name[] = "AddEntropyKeys",
               remove_name[] = "RemoveEntropyKey", reset_name[] = "ResetEntropyKey",
               listen_name[] = "AddListener", unlisten_name[] = "RemoveListener", sink_name[] = "AddSink",
               unsink_name[] = "RemoveSink";

Result<void> health(Connection& connection, const Job& job) {
    const auto answer = connection.ask(call("Health", job.arguments));
    if (!answer) {
        return fail(answer.error().what);
    }
    if (job.json) {
        print_json(job, job.arguments.empty() ? json_health(answer->rows) : json_object(answer->rows));
        return {};
    }
    for (const std::string& row : answer->rows) {
        print_line(job, row);
    }
    return {};
}

constexpr Command commands[] = {
    {"list", "", "every source, a line each", 0, 0, list, nullptr, nullptr, Option::json},
    {"stats", "ID", "statistics of a source", 1, 1, stats, nullptr, nullptr, Option::json},
    {"add", "PATH [SERIAL]", "add an Entropy Key by its path, or any source by its address", 1, 2,
     quiet<add_name>, make_path_absolute},
    {"addall", "FOLDER", "add every Entropy Key in a folder", 1, 1, quiet<addall_name>, make_absolute},
    {"remove", "ID", "remove a source", 1, 1, quiet<remove_name>},
    {"keyring", "FILE", "read long-term keys", 1, 1, keyring, make_absolute},
    {"shutdown", "", "end the daemon", 0, 0, shut_down},
    {"reload", "", "read the configuration again", 0, 0, reload},
    {"health", "[ID]", "health of a source, or of all", 0, 1, health, nullptr, nullptr, Option::json},
    {"top", "", "all of it at a glance: live on a terminal, else once", 0, 0, top, nullptr, nullptr,
     Option::interval},
    {"reset", "ID", "begin a source's session anew", 1, 1, quiet<reset_name>},
    {"capture", "ID BYTES", "write unconditioned bytes of a source to standard output", 2, 2, capture,
     check_capture},
    {"show", "", "sources, listeners and sinks", 0, 0, show},
    {"listen", "ADDRESS", "serve clients at an address", 1, 1, quiet<listen_name>},
    {"unlisten", "ADDRESS", "stop serving there", 1, 1, quiet<unlisten_name>},
    {"sink", "ADDRESS", "push bytes to a place", 1, 1, quiet<sink_name>},
    {"unsink", "ADDRESS", "stop pushing there", 1, 1, quiet<unsink_name>},
    {"keygen", "[FILE]", "make this host's key for sealed links, and print its public key", 0, 1, nullptr,
     nullptr, make_identity},
    {"pubkey", "[FILE]", "print the public key of this host's key", 0, 1, nullptr, nullptr, show_identity},
};

} // namespace

std::span<const Command> command_table() {
    return commands;
}

} // namespace ekey::ctl
