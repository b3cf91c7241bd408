// What was written on the command line or in a file, before it is understood.
#pragma once

#include <string>
#include <vector>

#include "protocol/result.h"

namespace ekey::config {

struct Given {
    std::string name, value;
    std::string where; // "command line", or "FILE:LINE"
};

// Both refuse options that the table does not have, with the nearest one. Flags have the value "yes".
Result<std::vector<Given>> read_command_line(int argc, const char* const* argv);
Result<std::vector<Given>> parse_file(std::string_view text, const std::string& name);
// Reads at most 1 MiB. `found` tells a file that is not there from one that cannot be read.
Result<std::string> read_file(const std::string& path, bool& found);

} // namespace ekey::config
