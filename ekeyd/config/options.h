// The one table of ekeyd's options. The command line, the file, --help and --print-config are all made from
// it.
#pragma once

#include <limits>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "ekeyd/config/kinds.h"
#include "ekeyd/config/settings.h"

namespace ekey::config {

// Where a value goes, and what a value of that kind may be.
struct AddressList {
    std::vector<Setting> Settings::*member;
    Role role;
};
struct Text { // a path or a name; empty when unset
    Setting Settings::*member;
    bool path;
};
struct Size {
    std::size_t Settings::*member;
    std::uint64_t low, high;
};
struct Seconds {
    double Settings::*member;
    double low, high;
};
struct Flag {
    bool Settings::*member;
};
struct Choice {
    std::string Settings::*member;
    std::vector<std::string_view> words;
};
struct ConfigFile {}; // --config itself
struct OldFile {};    // --convert
using Target = std::variant<AddressList, Text, Size, Seconds, Flag, Choice, ConfigFile, OldFile, Action>;

struct Option {
    std::string_view name;
    char letter;                 // short form, or 0
    std::string_view value_name; // for --help; empty for what takes no value on the command line
    std::string_view help;
    Target target;
    std::string_view fallback = {}; // default, in the form that the file has

    bool repeatable() const { return std::holds_alternative<AddressList>(target); }
    bool in_file() const {
        return !std::holds_alternative<ConfigFile>(target) && !std::holds_alternative<OldFile>(target) &&
               !std::holds_alternative<Action>(target);
    }
};

std::span<const Option> option_table();
const Option* find_option(std::string_view name); // or null

// What --help and --print-config print. The latter, read as a file, gives the same settings again.
std::string help_text();
std::string print_config(const Settings& settings);

// The names of the options that a file may hold and whose values differ, in the order of the table.
std::vector<std::string_view> differences(const Settings& one, const Settings& other);

} // namespace ekey::config
