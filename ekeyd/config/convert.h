// The configuration of ekeyd 1.1.5 in the form of ours, for ekeyd --convert.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ekeyd/config/given.h"

namespace ekey::config {

// Writes what `text`, the file `name`, was understood to say, each setting below a comment with the line that
// it is from. `settings` is what parse_old_form made of it.
std::string write_converted(std::string_view text, const std::string& name,
                            const std::vector<Given>& settings);

} // namespace ekey::config
