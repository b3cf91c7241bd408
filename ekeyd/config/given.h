// What was written on the command line or in a file, before it is understood.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace ekey::config {

struct Given {
    std::string name, value;
    std::string where; // "command line", or "FILE:LINE"
};

// Refuses what a file could not hold: nothing at all, control characters, a #, quotes around.
Result<void> check_value(std::string_view name, std::string_view value);

// Both refuse options that the table does not have, with the nearest one. Flags have the value "yes".
Result<std::vector<Given>> read_command_line(int argc, const char* const* argv);
// A file of ekeyd 1.1.5 (old_form.h) is read as such.
Result<std::vector<Given>> parse_file(std::string_view text, const std::string& name);
// Reads at most 1 MiB. `found` tells a file that is not there from one that cannot be read.
Result<std::string> read_file(const std::string& path, bool& found);

} // namespace ekey::config
