// The configuration of ekeyd 1.1.5: calls in Lua, such as UnixControlSocket "/var/run/ekeyd.sock".
#pragma once

#include <string>
#include <string_view>

namespace ekey::config {

// When the line (without blanks around it) is of that form: one sentence that says so, and what stands for it
// in the form that ekeyd reads. Otherwise empty.
std::string explain_old_form(std::string_view line);

} // namespace ekey::config
