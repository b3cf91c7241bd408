// Users and groups of this host.
#pragma once

#include <string>

#include <sys/types.h>

#include "protocol/result.h"

namespace ekey {

// A name, or a number, which need not have a name. The error says that there is no such user or group.
Result<uid_t> find_user(const std::string& name);
Result<gid_t> find_group(const std::string& name);

// The user that this process runs as: the name, or the number of one who has none.
std::string running_as();

} // namespace ekey
