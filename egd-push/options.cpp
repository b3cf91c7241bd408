#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>

#include "egd-push/option_table.h"
#include "ekeyd/config/unknown.h"

namespace ekey {

namespace {

const PushOption* find(std::string_view name) {
    const auto table = push_option_table();
    const auto found =
        std::find_if(table.begin(), table.end(), [&](const PushOption& o) { return o.name == name; });
    return found == table.end() ? nullptr : &*found;
}

std::vector<std::string_view> names_of_options() {
    std::vector<std::string_view> names;
    for (const PushOption& option : push_option_table()) {
        names.emplace_back(option.name);
    }
    return names;
}

std::string unknown(std::string_view name, bool file) {
    return config::unknown_option(name, names_of_options(), file ? "" : "--", "see egd-push(8)");
}

struct Given {
    const PushOption* option;
    std::string value, where;
};

Result<std::vector<Given>> read_command_line(std::span<const char* const> arguments) {
    std::vector<Given> all;
    const auto complain = [](std::string what) { return fail("command line: " + std::move(what)); };
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        if (argument.size() > 1 && argument[0] == '-' && argument[1] != '-') {
            for (const char letter : argument.substr(1)) {
                const auto table = push_option_table();
                const auto found = std::find_if(table.begin(), table.end(),
                                                [&](const PushOption& o) { return o.letter == letter; });
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
        const PushOption* option = find(name);
        if (option == nullptr) {
            return complain(unknown(name, false));
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
        return fail(config::no_setting(line, names_of_options()));
    }
    const PushOption* option = find(name);
    if (option == nullptr) {
        return fail(unknown(name, true));
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

bool repeatable(const PushOption& option) {
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

} // namespace

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
    if (const auto whole = check_push_options(request.options); !whole) {
        return tl::unexpected(whole.error());
    }
    return request;
}

std::string push_help() {
    std::string text = "usage: egd-push --from ADDRESS [--from ADDRESS...] [OPTIONS]\n\n"
                       "Fetches random bytes from EGD servers and pushes them into the kernel's pool.\n\n";
    for (const PushOption& option : push_option_table()) {
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
