#include "ekeyd/sandbox_rules.h"

#include "ekeyd/config/address.h"

namespace ekey {

namespace {

// The folder of what an address names by its path, if it does.
void add(FileRules& rules, const std::vector<config::Setting>& addresses, FileUse use) {
    for (const config::Setting& setting : addresses) {
        const auto address = config::parse_address(setting.value);
        if (!address) {
            continue;
        }
        if (address->rest.starts_with('/')) {
            rules.push_back({holding_folder(address->rest), use});
        }
        for (const auto& [name, value] : address->parameters) { // lists of who may connect
            if (value.starts_with('/')) {
                rules.push_back({holding_folder(value), FileUse::read});
            }
        }
    }
}

} // namespace

FileRules file_rules(const config::Settings& settings) {
    FileRules rules = common_file_rules();
    // Character devices, FIFOs, and links to them. A FIFO is opened for writing, too (device.cpp).
    add(rules, settings.source, FileUse::devices);
    add(rules, settings.listen, FileUse::sockets);
    add(rules, settings.control, FileUse::sockets);
    add(rules, settings.sink, FileUse::outputs);
    rules.push_back({"/proc/sys/kernel/random", FileUse::read}); // metrics tell of the kernel's pool
    for (const config::Setting* path : {&settings.keyring, &settings.identity}) {
        rules.push_back({holding_folder(path->value), FileUse::read});
    }
    if (!settings.config_file.empty()) { // is read again on SIGHUP
        rules.push_back({holding_folder(settings.config_file), FileUse::read});
    }
    if (!settings.pidfile.value.empty()) {
        rules.push_back({holding_folder(settings.pidfile.value), FileUse::sockets});
    }
    return rules;
}

} // namespace ekey
