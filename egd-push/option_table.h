// The one table of egd-push's options.
#pragma once

#include <span>

#include "egd-push/options.h"

namespace ekey {

struct PushOption {
    const char* name;
    const char* value; // what --help calls the value; null for a switch
    const char* help;
    Result<void> (*set)(PushRequest&, std::string_view value);
    bool command_line_only = false;
    char letter = 0;
};

std::span<const PushOption> push_option_table();

// What no single option shows: errors name the options that do not go together.
Result<void> check_push_options(const PushOptions& options);

} // namespace ekey
