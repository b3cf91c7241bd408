// All that ekeyd can be told, from one table of options for the file and the command line.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "protocol/result.h"

namespace ekey::config {

// A value and where it was written: "command line", or "FILE:LINE".
struct Setting {
    std::string value;
    std::string where;
};

struct Settings {
    std::vector<Setting> source, listen, sink, control; // addresses, in the order given
    Setting keyring;                                    // path; default /etc/entropykey/keyring
    Setting pidfile;                                    // path or empty
    Setting user, group;                                // names to run as, or empty
    Setting identity;                                   // path; for sealed links
    std::size_t pool_size = 65536;                      // bytes
    std::size_t reserve = 0;                            // bytes of the pool for local use
    double silence = 10; // seconds without a byte after which a source has failed
    bool foreground = false;
    std::string log_level = "info";                        // error, warning, notice, info, debug
    std::string sandbox = "yes";                           // no, yes, strict
    std::string config_file;                               // the file that was read, or empty
    std::map<std::string, std::string, std::less<>> where; // of numbers, by option: as Setting's
    // What a file of 1.1.5 was taken to say, such as "listen = unix:/path"; empty for a file in our form.
    std::vector<Setting> understood;
};

enum class Action { run, print_config, check_config, convert, version, help };

struct Request {
    Action action = Action::run;
    Settings settings;
    std::string text; // what --help, --version, --print-config, --check-config or --convert prints
};

// Reads the command line and the file it names; without one, /etc/ekeyd/ekeyd.conf, or if that is missing
// /etc/entropykey/ekeyd.conf of 1.1.5. Errors name the file, the line and a suggestion. A missing default
// file is not an error (defaults apply); a missing file that was named is. A file's relative name is one in
// `folder`; empty: in the current folder.
Result<Request> read_settings(int argc, const char* const* argv, const std::string& folder = {});

} // namespace ekey::config
