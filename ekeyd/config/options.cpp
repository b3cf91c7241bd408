#include "ekeyd/config/options.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace ekey::config {

std::span<const Option> option_table() {
    static const std::array table{
        Option{"config", 'f', "FILE", "read this file", ConfigFile{}, "/etc/ekeyd/ekeyd.conf"},
        Option{"foreground", 0, "", "stay in the foreground and log to standard error",
               Flag{&Settings::foreground}, "no"},
        Option{"print-config", 0, "", "print the configuration in effect, as a file, and exit",
               Action::print_config},
        Option{"check-config", 0, "", "check the configuration and exit", Action::check_config},
        Option{"convert", 0, "OLD", "print a configuration of ekeyd 1.1.5 in the form of ours, and exit",
               OldFile{}},
        Option{"version", 'v', "", "print the version and exit", Action::version},
        Option{"help", 'h', "", "print this help and exit", Action::help},
        Option{"source", 0, "ADDRESS", "take noise from here: entropykey:usb, device:PATH, ...",
               AddressList{&Settings::source, Role::source}},
        Option{"listen", 0, "ADDRESS", "serve clients here: unix:PATH, tcp:HOST:PORT, ...; figures: http:",
               AddressList{&Settings::listen, Role::listen}},
        Option{"sink", 0, "ADDRESS", "push bytes there: kernel, file:PATH, fifo:PATH",
               AddressList{&Settings::sink, Role::sink}},
        Option{"control", 0, "ADDRESS", "take commands of ekeydctl here: unix:PATH, tcp:127.0.0.1:PORT",
               AddressList{&Settings::control, Role::control}, "unix:/run/ekeyd.sock"},
        Option{"keyring", 0, "FILE", "long-term keys of Entropy Keys", Text{&Settings::keyring, true},
               "/etc/entropykey/keyring"},
        Option{"identity", 0, "FILE", "this host's static key, for sealed links",
               Text{&Settings::identity, true}, "/etc/ekeyd/identity.key"},
        Option{"pidfile", 'p', "FILE", "write the process number here", Text{&Settings::pidfile, true}},
        Option{"user", 0, "NAME", "run as this user once everything is open", Text{&Settings::user, false}},
        Option{"group", 0, "NAME", "run as this group once everything is open",
               Text{&Settings::group, false}},
        // From the longest EGD answer to what a machine can reasonably keep locked.
        // At least the longest read and one output of the conditioner: less could keep a reader waiting for
        // ever.
        Option{"pool-size", 0, "BYTES", "conditioned bytes to hold",
               Size{&Settings::pool_size, 320, 16777216}, "65536"},
        Option{"reserve", 0, "BYTES", "keep so many of them for local listeners and sinks",
               Size{&Settings::reserve, 0, 16777216}, "0"},
        Option{"silence", 0, "SECONDS", "a source that is silent for so long has failed",
               Seconds{&Settings::silence, 1, 3600}, "10"},
        Option{"log-level", 0, "LEVEL", "error, warning, notice, info or debug",
               Choice{&Settings::log_level, {"error", "warning", "notice", "info", "debug"}}, "info"},
        Option{"sandbox", 0, "yes|no|strict", "give up files and system calls that are not needed",
               Choice{&Settings::sandbox, {"yes", "no", "strict"}}, "yes"},
    };
    return table;
}

const Option* find_option(std::string_view name) {
    for (const Option& option : option_table()) {
        if (option.name == name) {
            return &option;
        }
    }
    return nullptr;
}

std::string help_text() {
    constexpr std::size_t column = 27; // where the explanations begin
    std::string text =
        "Usage: ekeyd [OPTION...]\n"
        "Feeds the noise of USB dongles to programs, guests and the kernel.\n\n"
        "Options. Those marked * may be repeated; foreground and all from source on may stand\n"
        "in the file too, as NAME = VALUE.\n";
    for (const Option& option : option_table()) {
        std::string line = option.letter != 0 ? std::string("  -") + option.letter + ", " : "      ";
        line += "--" + std::string(option.name);
        if (!option.value_name.empty()) {
            line += ' ' + std::string(option.value_name);
        }
        if (option.repeatable()) {
            line += " *";
        }
        line.resize(std::max(line.size() + 2, column), ' ');
        line += option.help;
        if (!option.fallback.empty() && !option.value_name.empty()) {
            line += " (" + std::string(option.fallback) + ')';
        }
        text += line + '\n';
    }
    return text + "\nSee ekeyd(8) and ekeyd.conf(5).\n";
}

namespace {

// Writes `name = value`, or the name alone as a comment when there is no value.
struct Printer {
    const Settings& settings;
    std::string_view name;
    std::string& text;

    void line(std::string_view value) const {
        text += value.empty() ? "# " + std::string(name) + " =\n"
                              : std::string(name) + " = " + std::string(value) + '\n';
    }
    void operator()(const AddressList& t) const {
        for (const Setting& setting : settings.*t.member) {
            line(setting.value);
        }
        if ((settings.*t.member).empty()) {
            line("");
        }
    }
    void operator()(const Text& t) const { line((settings.*t.member).value); }
    void operator()(const Size& t) const { line(std::to_string(settings.*t.member)); }
    void operator()(const Seconds& t) const {
        char digits[64]; // the longest fixed form within the limits of the table is far shorter
        const auto end =
            std::to_chars(digits, digits + sizeof digits, settings.*t.member, std::chars_format::fixed).ptr;
        line({digits, static_cast<std::size_t>(end - digits)});
    }
    void operator()(const Flag& t) const { line(settings.*t.member ? "yes" : "no"); }
    void operator()(const Choice& t) const { line(settings.*t.member); }
    void operator()(const ConfigFile&) const {}
    void operator()(const OldFile&) const {}
    void operator()(Action) const {}
};

} // namespace

std::string print_config(const Settings& settings) {
    std::string text = settings.config_file.empty() ? "# ekeyd: no configuration file was read\n"
                                                    : "# ekeyd: from " + settings.config_file + '\n';
    for (const Option& option : option_table()) {
        std::visit(Printer{settings, option.name, text}, option.target);
    }
    return text;
}

std::vector<std::string_view> differences(const Settings& one, const Settings& other) {
    std::vector<std::string_view> names;
    for (const Option& option : option_table()) {
        std::string a, b;
        std::visit(Printer{one, option.name, a}, option.target);
        std::visit(Printer{other, option.name, b}, option.target);
        if (a != b) {
            names.push_back(option.name);
        }
    }
    return names;
}

} // namespace ekey::config
