// The configuration of ekeyd 1.1.5: calls in Lua, such as UnixControlSocket "/var/run/ekeyd.sock".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ekeyd/config/given.h"

namespace ekey::config {

// Whether what comes first after blanks and # comments is a call, of 1.1.5 or of a name that it has not, or a
// Lua comment. `name = value` is neither.
bool is_old_form(std::string_view text);

// What such a file says, as settings of ours. Only calls of 1.1.5's ten functions with constants are
// understood: errors name the line of any other Lua. AddEntropyKeys means the keys that come to its folder
// later, too; with 1.1.5, a program of udev's added those. Of several Keyring calls the last counts, as
// there.
Result<std::vector<Given>> parse_old_form(std::string_view text, const std::string& name);

} // namespace ekey::config
