// The kinds of address that each option takes, and which of them this build has.
#pragma once

#include "ekeyd/config/address.h"
#include "protocol/result.h"

namespace ekey::config {

enum class Role { source, listen, sink, control };

// Parses an address and checks what can be told without opening anything: that the role has the kind, the
// form of paths, hosts and ports, and values common to a role. Which parameters a kind takes is for its maker
// to say.
Result<Address> check_address(Role role, std::string_view text);

// "/" first, and short enough for a socket's address when `socket` (sun_path, 107 bytes: unix(7)).
Result<void> check_path(std::string_view path, bool socket);

} // namespace ekey::config
