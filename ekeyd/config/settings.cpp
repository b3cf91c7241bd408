#include "ekeyd/config/settings.h"

#include <algorithm>
#include <filesystem>

#include "ekeyd/config/convert.h"
#include "ekeyd/config/given.h"
#include "ekeyd/config/old_form.h"
#include "ekeyd/config/options.h"

namespace ekey::config {

namespace {

// Puts one value where its option says, or tells what is wrong with it.
struct Apply {
    Settings& settings;
    const Given& given;

    Result<void> operator()(const AddressList& target) const {
        if (auto address = check_address(target.role, given.value); !address) {
            return fail(address.error().what);
        }
        std::vector<Setting>& list = settings.*target.member;
        const auto same =
            std::find_if(list.begin(), list.end(), [&](const Setting& s) { return s.value == given.value; });
        if (same != list.end()) {
            return fail(given.name + " \"" + given.value + "\" is given twice (first: " + same->where + ")");
        }
        list.push_back({given.value, given.where});
        return {};
    }
    Result<void> operator()(const Text& target) const {
        if (target.path) {
            if (auto path = check_path(given.value, false); !path) {
                return fail(given.name + ": " + path.error().what);
            }
        }
        settings.*target.member = {given.value, given.where};
        return {};
    }
    Result<void> operator()(const Size& target) const {
        const auto value = parse_number(given.name, given.value, target.low, target.high);
        if (!value) {
            return fail(value.error().what);
        }
        settings.*target.member = static_cast<std::size_t>(*value);
        settings.where[given.name] = given.where;
        return {};
    }
    Result<void> operator()(const Seconds& target) const {
        const auto value = parse_decimal(given.name, given.value, target.low, target.high);
        if (!value) {
            return fail(value.error().what);
        }
        settings.*target.member = *value;
        return {};
    }
    Result<void> operator()(const Flag& target) const {
        const auto value = parse_yes_no(given.name, given.value);
        if (!value) {
            return fail(value.error().what);
        }
        settings.*target.member = *value;
        return {};
    }
    Result<void> operator()(const Choice& target) const {
        if (std::find(target.words.begin(), target.words.end(), given.value) == target.words.end()) {
            std::string what = given.name + " is \"" + given.value + "\": ";
            if (const std::string_view near = nearest(given.value, target.words); !near.empty()) {
                return fail(what + "did you mean " + std::string(near) + "?");
            }
            what += "expected one of";
            for (const std::string_view word : target.words) {
                what += ' ' + std::string(word);
            }
            return fail(what);
        }
        settings.*target.member = given.value;
        return {};
    }
    Result<void> operator()(const ConfigFile&) const {
        settings.config_file = given.value;
        return {};
    }
    Result<void> operator()(const OldFile&) const { return {}; }
    Result<void> operator()(Action) const { return {}; }
};

Result<void> apply(Settings& settings, const Given& given) {
    const Option& option = *find_option(given.name);
    auto done = std::visit(Apply{settings, given}, option.target);
    return done ? done : fail(given.where + ": " + done.error().what);
}

const Given* first_of(const std::vector<Given>& all, std::string_view name) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Given& g) { return g.name == name; });
    return found == all.end() ? nullptr : &*found;
}

Result<void> refuse_repeats(const std::vector<Given>& all) {
    for (const Given& given : all) {
        const Given* first = first_of(all, given.name);
        const Option& option = *find_option(given.name);
        if (first != &given && !option.repeatable() && !std::holds_alternative<Action>(option.target)) {
            return fail(given.where + ": " + given.name + " is given twice (first: " + first->where + ")");
        }
    }
    return {};
}

// Where a host that comes from 1.1.5 has its configuration. It is read as it is when there is no other.
constexpr std::string_view old_default_file = "/etc/entropykey/ekeyd.conf";

Result<std::vector<Given>> read_named_file(const std::vector<Given>& command_line, Settings& settings,
                                           const std::string& folder) {
    const Given* named = first_of(command_line, "config");
    const auto candidates = named != nullptr
                                ? std::vector<std::string>{named->value}
                                : std::vector<std::string>{std::string(find_option("config")->fallback),
                                                           std::string(old_default_file)};
    for (const std::string& path : candidates) {
        bool found = false;
        const auto text = read_file(std::filesystem::path(folder) / path, found);
        if (text) {
            settings.config_file = path;
            auto given = parse_file(*text, path);
            if (given && is_old_form(*text)) {
                for (const Given& one : *given) {
                    settings.understood.push_back({one.name + " = " + one.value, one.where});
                }
            }
            return given;
        }
        if (found || named != nullptr) {
            return fail(text.error().what + (found ? "" : " (name another with --config)"));
        }
    }
    return std::vector<Given>{};
}

// The command line goes before the file for what has one value; lists hold the file's, then the command
// line's.
Result<void> merge(Settings& settings, std::vector<Given> file, std::vector<Given> command_line) {
    std::erase_if(file, [&](const Given& g) {
        return !find_option(g.name)->repeatable() && first_of(command_line, g.name) != nullptr;
    });
    std::erase_if(command_line, [](const Given& g) { return g.name == "config"; });
    file.insert(file.end(), command_line.begin(), command_line.end());
    for (const Option& option : option_table()) {
        if (option.in_file() && !option.fallback.empty() && first_of(file, option.name) == nullptr) {
            file.push_back({std::string(option.name), std::string(option.fallback), "default"});
        }
    }
    for (const Given& given : file) {
        if (auto done = apply(settings, given); !done) {
            return done;
        }
    }
    return {};
}

Action action_of(const std::vector<Given>& command_line) {
    for (const Action wanted : {Action::help, Action::version, Action::print_config, Action::check_config}) {
        for (const Given& given : command_line) {
            const Action* action = std::get_if<Action>(&find_option(given.name)->target);
            if (action != nullptr && *action == wanted) {
                return wanted;
            }
        }
    }
    return Action::run;
}

// `settings` is what ekeyd would run with.
Result<std::string> convert(const std::string& path, Settings& settings) {
    bool found = false;
    const auto text = read_file(path, found);
    if (!text) {
        return fail(text.error().what);
    }
    if (!is_old_form(*text)) {
        return fail(path + ": not in the form of ekeyd 1.1.5: it has no call such as Keyring \"FILE\"");
    }
    const auto given = parse_old_form(*text, path);
    if (!given) {
        return fail(given.error().what);
    }
    if (auto once = refuse_repeats(*given); !once) {
        return fail(once.error().what);
    }
    if (auto good = merge(settings, *given, {}); !good) {
        return fail(good.error().what);
    }
    return write_converted(*text, path, *given);
}

} // namespace

Result<Request> read_settings(int argc, const char* const* argv, const std::string& folder) {
    auto command_line = read_command_line(argc, argv);
    if (!command_line) {
        return fail(command_line.error().what);
    }
    Request request;
    request.action = action_of(*command_line);
    if (request.action == Action::help) {
        request.text = help_text();
        return request;
    }
    if (request.action == Action::version) {
        request.text = "ekeyd " EKEYD_VERSION "\n";
        return request;
    }
    if (auto once = refuse_repeats(*command_line); !once) {
        return fail(once.error().what);
    }
    if (const Given* old = first_of(*command_line, "convert"); old != nullptr) {
        auto converted = convert(old->value, request.settings);
        if (!converted) {
            return fail(converted.error().what);
        }
        request.action = Action::convert;
        request.text = std::move(*converted);
        return request;
    }
    auto file = read_named_file(*command_line, request.settings, folder);
    if (!file) {
        return fail(file.error().what);
    }
    if (auto once = refuse_repeats(*file); !once) {
        return fail(once.error().what);
    }
    if (auto merged = merge(request.settings, std::move(*file), std::move(*command_line)); !merged) {
        return fail(merged.error().what);
    }
    if (request.action == Action::print_config) {
        request.text = print_config(request.settings);
    } else if (request.action == Action::check_config) {
        for (const Setting& one : request.settings.understood) {
            request.text += one.where + ": " + one.value + '\n';
        }
        request.text += request.settings.config_file.empty()
                            ? "ekeyd: no configuration file; the command line and the defaults are good\n"
                            : request.settings.config_file + ": good\n";
    }
    return request;
}

} // namespace ekey::config
