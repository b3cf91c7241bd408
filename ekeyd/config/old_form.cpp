#include "ekeyd/config/old_form.h"

#include <algorithm>

namespace ekey::config {

namespace {

// From ekeyd.conf(5) of 1.1.5, with what each becomes.
constexpr struct {
    std::string_view call, now;
} calls[] = {
    {"UnixControlSocket", "control = unix:PATH"},
    {"TCPControlSocket", "control = tcp:127.0.0.1:PORT"},
    {"Keyring", "keyring = FILE"},
    {"Daemonise", "foreground = yes or no"},
    {"SetOutputToKernel", "sink = kernel"},
    {"SetOutputToFile", "sink = file:PATH"},
    {"EGDTCPSocket", "listen = tcp:127.0.0.1:PORT"},
    {"EGDUnixSocket", "listen = unix:PATH,mode=0660,group=NAME"},
    {"AddEntropyKey", "source = entropykey:PATH"},
    {"AddEntropyKeys", "source = entropykey:PATH, a line for each key"},
};

constexpr std::string_view advice = "this is the form of ekeyd 1.1.5, which this build does not read";

} // namespace

std::string explain_old_form(std::string_view line) {
    if (line.starts_with("--")) {
        return std::string(advice) +
               ": comments begin with # and settings are NAME = VALUE, see ekeyd.conf(5)";
    }
    const std::string_view name = line.substr(0, line.find_first_of(" \t(\"'["));
    const std::size_t after = line.find_first_not_of(" \t", name.size());
    if (after == std::string_view::npos ||
        std::string_view("(\"'[").find(line[after]) == std::string_view::npos) {
        return {};
    }
    const auto known =
        std::find_if(std::begin(calls), std::end(calls), [&](const auto& c) { return c.call == name; });
    if (known == std::end(calls)) {
        return {};
    }
    return std::string(advice) + ": in place of " + std::string(name) + " write " + std::string(known->now) +
           " (see ekeyd.conf(5))";
}

} // namespace ekey::config
