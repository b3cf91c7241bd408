#include "egd-push/options.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <span>

#include "egd-push/upstream_address.h"

namespace ekey {

namespace {

using config::Address;

struct Option {
    const char* name;
    const char* value; // what --help calls the value; null for a switch
    const char* help;
    Result<void> (*set)(PushRequest&, std::string_view value);
    bool command_line_only = false;
    char letter = 0;
};

Duration seconds(double s) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

template <class T, class Use>
Result<void> then(Result<T> value, Use use) {
    if (!value) {
        return tl::unexpected(value.error());
    }
    use(*value);
    return {};
}

Result<void> set_from(PushRequest& request, std::string_view value) {
    auto address = config::parse_address(value);
    if (!address) {
        return tl::unexpected(address.error());
    }
    if (const auto known = check_upstream(*address); !known) {
        return known;
    }
    auto& from = request.options.from;
    if (std::any_of(from.begin(), from.end(), [&](const Address& a) { return a.text == address->text; })) {
        return fail("from " + address->text + " is given twice");
    }
    from.push_back(std::move(*address));
    return {};
}

Result<void> set_to(PushRequest& request, std::string_view value) {
    if (value == "-") {
        request.options.to = {"-", "", {}, "-"};
        return {};
    }
    auto address = config::parse_address(value);
    if (!address) {
        return tl::unexpected(address.error());
    }
    const bool is_file = address->kind == "file";
    if (const auto known =
            is_file ? config::check_parameters(*address, {"seed"}) : config::check_parameters(*address, {});
        !known) {
        return known;
    }
    if (const std::string* seed = address->find("seed")) {
        const auto wanted =
            then(config::parse_yes_no("seed", *seed), [&](bool yes) { request.options.seed = yes; });
        if (!wanted) {
            return wanted;
        }
    }
    const bool kernel = address->kind == "kernel" && address->rest.empty();
    const bool file = is_file && address->rest.starts_with('/') && address->rest.back() != '/';
    if (!kernel && !file) {
        return fail("to is \"" + address->text + "\": expected kernel, file:/PATH or - (standard output)");
    }
    request.options.to = std::move(*address);
    return {};
}

Result<void> set_credit(PushRequest& request, std::string_view value) {
    if (value == "auto") {
        request.options.credit.reset();
        return {};
    }
    const auto number = config::parse_number("credit", value, 0, 8);
    if (!number) {
        return fail(number.error().what + ", or auto");
    }
    request.options.credit = static_cast<unsigned>(*number);
    return {};
}

Result<void> set_once(PushRequest& request, std::string_view value) {
    return then(config::parse_yes_no("once", value), [&](bool once) { request.options.once = once; });
}

Result<void> set_sandbox(PushRequest& request, std::string_view value) {
    if (value != "yes" && value != "no" && value != "strict") {
        return fail("sandbox is \"" + std::string(value) + "\": expected yes, no or strict");
    }
    request.options.sandbox = parse_sandbox(value);
    return {};
}

const std::array<Option, 14>& options() {
    static const std::array<Option, 14> table{{
        {"from", "ADDRESS",
         "an EGD server: unix:/PATH, tcp:HOST:PORT, vsock:CID:PORT or char:/DEVICE; may be given several "
         "times",
         set_from},
        {"to", "WHERE", "kernel, file:/PATH[,seed=yes], or - for standard output (default: kernel)", set_to},
        {"bytes", "N", "bytes a push, 1 to 4096 (default 64); at least 16 for the kernel",
         [](PushRequest& r, std::string_view v) {
             return then(config::parse_number("bytes", v, 1, KernelPool::longest),
                         [&](std::uint64_t n) { r.options.bytes = static_cast<std::size_t>(n); });
         }},
        {"interval", "SECONDS", "longest time between pushes (default 60)",
         [](PushRequest& r, std::string_view v) {
             return then(config::parse_decimal("interval", v, 0.1, 86400),
                         [&](double s) { r.options.interval = seconds(s); });
         }},
        {"once", nullptr, "push once, then end: 0 when an upstream delivered, 1 when none did", set_once},
        {"credit", "auto|0..8",
         "bits of entropy credited a byte (default auto: 4 from this machine or its host, 0 from clear TCP)",
         set_credit},
        {"timeout", "SECONDS", "how long one upstream may take to answer (default 30)",
         [](PushRequest& r, std::string_view v) {
             return then(config::parse_decimal("timeout", v, 0.1, 3600),
                         [&](double s) { r.options.timeout = seconds(s); });
         }},
        {"identity", "FILE", "this host's key for sealed links (this build has none)",
         [](PushRequest&, std::string_view) -> Result<void> {
             return fail("identity: this build does not have sealed links");
         }},
        {"sandbox", "yes|no|strict", "give up files and system calls that are not needed (default yes)",
         set_sandbox},
        {"config", "FILE", "read these options from a file, one NAME = VALUE a line", nullptr, true},
        {"foreground", nullptr, "stay in the foreground (as it always does)",
         [](PushRequest&, std::string_view) -> Result<void> { return {}; }, true},
        {"verbose", nullptr, "say more; twice, say everything",
         [](PushRequest& r, std::string_view) -> Result<void> {
             ++r.options.verbose;
             return {};
         },
         true, 'v'},
        {"version", nullptr, "print the version",
         [](PushRequest& r, std::string_view) -> Result<void> {
             r.action = PushRequest::Action::version;
             return {};
         },
         true},
        {"help", nullptr, "print this help",
         [](PushRequest& r, std::string_view) -> Result<void> {
             r.action = PushRequest::Action::help;
             return {};
         },
         true, 'h'},
    }};
    return table;
}

const Option* find(std::string_view name) {
    const auto& table = options();
    const auto found =
        std::find_if(table.begin(), table.end(), [&](const Option& o) { return o.name == name; });
    return found == table.end() ? nullptr : &*found;
}

tl::unexpected<Error> unknown(std::string_view name, bool file) {
    std::string what = "unknown option \"" + std::string(name) + '"';
    const auto near =
        config::nearest(name, {"from", "to", "bytes", "interval", "once", "credit", "timeout", "identity",
                               "sandbox", "config", "foreground", "verbose", "version", "help"});
    if (near.empty()) {
        return fail(what + ": see egd-push(8)");
    }
    return fail(what + ": did you mean " + (file ? "" : "--") + std::string(near) + "?");
}

struct Given {
    const Option* option;
    std::string value, where;
};

Result<std::vector<Given>> read_command_line(std::span<const char* const> arguments) {
    std::vector<Given> all;
    const auto complain = [](std::string what) { return fail("command line: " + std::move(what)); };
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        if (argument.size() > 1 && argument[0] == '-' && argument[1] != '-') {
            for (const char letter : argument.substr(1)) {
                const auto& table = options();
                const auto found = std::find_if(table.begin(), table.end(),
                                                [&](const Option& o) { return o.letter == letter; });
                if (found == table.end()) {
                    return complain("unknown option \"-" + std::string(1, letter) +
                                    "\": see egd-push --help");
                }
                all.push_back({&*found, "yes", "command line"});
            }
            continue;
        }
        if (!argument.starts_with("--") || argument.size() == 2) {
            return complain("unexpected argument \"" + std::string(argument) + "\": see egd-push --help");
        }
        const std::size_t equals = argument.find('=');
        const std::string_view name = argument.substr(2, equals == argument.npos ? equals : equals - 2);
        const Option* option = find(name);
        if (option == nullptr) {
            return complain(unknown(name, false).value().what);
        }
        if (option->value == nullptr) {
            if (equals != argument.npos) {
                return complain("--" + std::string(name) + " takes no value");
            }
            all.push_back({option, "yes", "command line"});
        } else if (equals != argument.npos) {
            all.push_back({option, std::string(argument.substr(equals + 1)), "command line"});
        } else if (i + 1 < arguments.size()) {
            all.push_back({option, arguments[++i], "command line"});
        } else {
            return complain("--" + std::string(name) + " needs a value: " + option->value);
        }
    }
    return all;
}

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    return first == text.npos ? std::string_view{}
                              : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

Result<Given> read_line(std::string_view line) {
    if (line.front() == '[') {
        return fail("sections are not used: write NAME = VALUE");
    }
    const std::size_t equals = line.find('=');
    const std::string_view name = trim(line.substr(0, equals));
    if (equals == line.npos) {
        return fail("\"" + std::string(line) + "\" is no setting: expected NAME = VALUE");
    }
    const Option* option = find(name);
    if (option == nullptr) {
        return unknown(name, true);
    }
    if (option->command_line_only) {
        return fail(std::string(name) + " is for the command line only");
    }
    return Given{option, std::string(trim(line.substr(equals + 1))), ""};
}

// A longest line and a largest file that no real configuration comes near, so that --config /dev/zero ends.
constexpr std::size_t longest_line = 8192, most_lines = 4096;

Result<std::vector<Given>> read_file(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
    if (!file) {
        return fail(path + " cannot be read: " + std::strerror(errno));
    }
    std::vector<Given> all;
    std::array<char, longest_line> buffer;
    for (std::size_t number = 1; std::fgets(buffer.data(), buffer.size(), file.get()) != nullptr; ++number) {
        const std::string where = path + ':' + std::to_string(number);
        const std::string_view whole = buffer.data();
        if (number > most_lines || whole.size() + 1 == buffer.size()) {
            return fail(where + ": too long for a configuration: is this the right file?");
        }
        const std::string_view line = trim(whole.substr(0, whole.find('#')));
        if (line.empty()) {
            continue;
        }
        auto given = read_line(line);
        if (!given) {
            return fail(where + ": " + given.error().what);
        }
        given->where = where;
        all.push_back(std::move(*given));
    }
    if (std::ferror(file.get()) != 0) {
        return fail(path + " cannot be read: " + std::strerror(errno));
    }
    return all;
}

bool repeatable(const Option& option) {
    return std::strcmp(option.name, "from") == 0 || option.command_line_only;
}

// Within one place an option is given once; the command line goes before the file.
Result<void> apply(PushRequest& request, const std::vector<Given>& all, const std::vector<Given>& stronger) {
    for (const Given& given : all) {
        const auto same = [&](const Given& other) { return other.option == given.option; };
        const auto first = std::find_if(all.begin(), all.end(), same);
        if (!repeatable(*given.option)) {
            if (&*first != &given) {
                return fail(given.where + ": " + given.option->name +
                            " is given twice (first: " + first->where + ")");
            }
            if (std::any_of(stronger.begin(), stronger.end(), same)) {
                continue;
            }
        }
        if (given.option->set != nullptr) {
            if (given.value.empty()) {
                return fail(given.where + ": " + given.option->name + " has no value");
            }
            if (const auto set = given.option->set(request, given.value); !set) {
                return fail(given.where + ": " + set.error().what);
            }
        }
    }
    return {};
}

Result<void> check_seed(const PushOptions& options) {
    // RANDOM_POOL_SIZE_MIN of systemd's random-seed service, which reads no fewer.
    constexpr std::size_t least = 32;
    if (options.bytes < least) {
        return fail("bytes is " + std::to_string(options.bytes) + ": a seed has at least 32");
    }
    if (options.bytes_to_fetch() > KernelPool::longest) {
        return fail("bytes is " + std::to_string(options.bytes) + ": a seed of that size is made of " +
                    std::to_string(options.bytes_to_fetch()) + " bytes at this credit, and at most " +
                    std::to_string(KernelPool::longest) + " are fetched at once");
    }
    const auto creditable = [&](const Address& from) { return options.credit_for(from) > 0; };
    if (std::none_of(options.from.begin(), options.from.end(), creditable)) {
        return fail(options.to.text + ": no upstream's bytes are credited, so no seed of them would be (see "
                                      "--credit in egd-push(8))");
    }
    return {};
}

Result<void> check_whole(const PushOptions& options) {
    // Fed in smaller pieces, each could be guessed on its own.
    constexpr std::size_t least = 16;
    if (options.from.empty()) {
        return fail(
            "command line: no upstream: name one with --from, such as --from unix:/run/ekeyd/egd.sock");
    }
    if (options.to.kind == "kernel" && options.bytes < least) {
        return fail("bytes is " + std::to_string(options.bytes) +
                    ": a push to the kernel has at least 16, or they could be guessed one by one");
    }
    return options.seed ? check_seed(options) : Result<void>();
}

} // namespace

unsigned PushOptions::credit_for(const Address& upstream) const {
    return credit.value_or(path_of(upstream) == Path::local ? default_credit : 0);
}

std::size_t PushOptions::bytes_to_fetch() const {
    const std::size_t each = std::max(credit.value_or(default_credit), 1u);
    return seed ? bytes * ((8 + each - 1) / each) : bytes;
}

Result<PushRequest> read_push_options(int argc, const char* const* argv) {
    const auto given = read_command_line(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
    if (!given) {
        return tl::unexpected(given.error());
    }
    PushRequest request;
    request.options.to = {"kernel", "", {}, "kernel"};
    for (const Given& g : *given) {
        if (g.option->set != nullptr && (g.option == find("help") || g.option == find("version"))) {
            (void)g.option->set(request, g.value);
            return request;
        }
    }
    for (const Given& g : *given) {
        if (g.option != find("config")) {
            continue;
        }
        const auto file = read_file(g.value);
        const auto applied = file ? apply(request, *file, *given) : tl::unexpected(file.error());
        if (!applied) {
            return tl::unexpected(applied.error());
        }
    }
    if (const auto applied = apply(request, *given, {}); !applied) {
        return tl::unexpected(applied.error());
    }
    if (const auto whole = check_whole(request.options); !whole) {
        return tl::unexpected(whole.error());
    }
    return request;
}

std::string push_help() {
    std::string text = "usage: egd-push --from ADDRESS [--from ADDRESS...] [OPTIONS]\n\n"
                       "Fetches random bytes from EGD servers and pushes them into the kernel's pool.\n\n";
    for (const Option& option : options()) {
        std::string left = "  --" + std::string(option.name);
        if (option.value != nullptr) {
            left += ' ' + std::string(option.value);
        }
        if (option.letter != 0) {
            left += std::string(", -") + option.letter;
        }
        left.resize(std::max<std::size_t>(left.size() + 2, 24), ' ');
        text += left + option.help + '\n';
    }
    return text + "\nSee egd-push(8).\n";
}

} // namespace ekey
