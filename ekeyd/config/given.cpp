#include "ekeyd/config/given.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <sys/stat.h>

#include <boost/program_options.hpp>

#include "ekeyd/config/old_form.h"
#include "ekeyd/config/options.h"
#include "ekeyd/config/unknown.h"
#include "ekeyd/runtime/handle.h"

namespace ekey::config {

namespace po = boost::program_options;

namespace {

constexpr std::size_t largest_file = 1 << 20; // thousands of listeners, and no accident such as /dev/zero
constexpr std::string_view blanks = " \t\r";

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
    });
}

std::vector<std::string_view> names_of(bool file) {
    std::vector<std::string_view> names;
    for (const Option& option : option_table()) {
        if (!file || option.in_file()) {
            names.push_back(option.name);
        }
    }
    return names;
}

std::string unknown(std::string_view name, bool file) {
    if (file && find_option(name) != nullptr) {
        return "unknown option \"" + std::string(name) + "\": it is for the command line only";
    }
    return unknown_option(name, names_of(file), file ? "" : "--",
                          file ? "see ekeyd.conf(5)" : "see ekeyd --help");
}

po::options_description describe(bool file) {
    po::options_description description;
    for (const Option& option : option_table()) {
        if (file && !option.in_file()) {
            continue;
        }
        std::string names(option.name);
        if (!file && option.letter != 0) {
            names += std::string(",") + option.letter;
        }
        if (!file && option.value_name.empty()) {
            description.add_options()(names.c_str(), "");
        } else {
            description.add_options()(names.c_str(), po::value<std::string>(), "");
        }
    }
    return description;
}

Result<Given> parse_line(const po::options_description& description, std::string_view line) {
    const std::size_t equals = line.find('=');
    if (line.front() == '[') {
        return fail("sections are not used: write NAME = VALUE");
    }
    if (equals == std::string_view::npos) {
        return fail(no_setting(line, names_of(true)));
    }
    const std::string_view name = trim(line.substr(0, equals));
    const Option* option = find_option(name);
    if (option == nullptr || !option->in_file()) {
        return fail(unknown(name, true));
    }
    std::istringstream one(std::string(line) + '\n');
    const po::parsed_options parsed = po::parse_config_file(one, description);
    const po::option& only = parsed.options.at(0);
    Given given{only.string_key, only.value.at(0), ""};
    if (auto value = check_value(given.name, given.value); !value) {
        return fail(value.error().what);
    }
    return given;
}

std::string explain(const po::error& error) {
    if (const auto* missing = dynamic_cast<const po::error_with_option_name*>(&error)) {
        if (dynamic_cast<const po::unknown_option*>(&error) != nullptr) {
            std::string name = missing->get_option_name();
            name.erase(0, name.find_first_not_of('-'));
            return unknown(name.substr(0, name.find('=')), false);
        }
    }
    std::string what = error.what(); // "the required argument for option '--listen' is missing"
    return what + ": see ekeyd --help";
}

} // namespace

Result<void> check_value(std::string_view name, std::string_view value) {
    const std::string option(name);
    if (value.empty()) {
        return fail(option + " has no value");
    }
    if (trim(value).size() != value.size()) {
        return fail(option + ": a value cannot begin or end with a blank, which is left out in the file");
    }
    if (has_control(value)) {
        return fail(option + ": the value holds a control character");
    }
    if (value.find('#') != std::string_view::npos) {
        return fail(option + ": a value cannot hold #, which begins a comment in the file");
    }
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
        value.back() == value.front()) {
        const std::string_view bare = value.substr(1, value.size() - 2);
        return fail(option + ": a value stands without quotes" +
                    (may_be_key(bare) ? "" : ": write " + option + " = " + std::string(bare)));
    }
    return {};
}

Result<std::vector<Given>> read_command_line(int argc, const char* const* argv) {
    namespace style = po::command_line_style;
    const po::options_description description = describe(false);
    std::vector<Given> all;
    try {
        const po::parsed_options parsed = po::command_line_parser(argc, argv)
                                              .options(description)
                                              .style(style::unix_style & ~style::allow_guessing)
                                              .run();
        for (const po::option& option : parsed.options) {
            if (option.position_key >= 0) {
                return fail("command line: unexpected argument \"" + option.value.at(0) +
                            "\": see ekeyd --help");
            }
            const bool flag = find_option(option.string_key)->value_name.empty();
            const std::string value = flag ? "yes" : std::string(trim(option.value.at(0)));
            if (auto checked = check_value("--" + option.string_key, value); !checked) {
                return fail("command line: " + checked.error().what);
            }
            all.push_back({option.string_key, value, "command line"});
        }
    } catch (const po::error& error) {
        return fail("command line: " + explain(error));
    }
    return all;
}

Result<std::vector<Given>> parse_file(std::string_view text, const std::string& name) {
    if (is_old_form(text)) {
        return parse_old_form(text, name);
    }
    const po::options_description description = describe(true);
    std::vector<Given> all;
    unsigned number = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::string where = name + ':' + std::to_string(++number);
        line = trim(line.substr(0, line.find('#')));
        if (line.empty()) {
            continue;
        }
        if (has_control(line)) {
            return fail(where + ": the line holds a control character: is this a text file?");
        }
        auto given = parse_line(description, line);
        if (!given) {
            return fail(where + ": " + given.error().what);
        }
        given->where = where;
        all.push_back(std::move(*given));
    }
    return all;
}

Result<std::string> read_file(const std::string& path, bool& found) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    found = static_cast<bool>(file) || errno != ENOENT;
    struct stat about {};
    if (!file || ::fstat(file.get(), &about) != 0) {
        return fail(path + " cannot be read: " + std::strerror(errno));
    }
    if (S_ISDIR(about.st_mode)) {
        return fail(path + " cannot be read: it is a folder");
    }
    // Opening must not wait for a FIFO's writer; reading must (a shell's <(...) writes when it gets to it).
    ::fcntl(file.get(), F_SETFL, 0);
    std::string text;
    char piece[4096];
    for (;;) {
        const ssize_t got = ::read(file.get(), piece, sizeof piece);
        if (got < 0) {
            return fail(path + " cannot be read: " + std::strerror(errno));
        }
        if (got == 0) {
            return text;
        }
        text.append(piece, static_cast<std::size_t>(got));
        if (text.size() > largest_file) {
            return fail(path + " is longer than 1 MiB: is this ekeyd's configuration?");
        }
    }
}

} // namespace ekey::config
