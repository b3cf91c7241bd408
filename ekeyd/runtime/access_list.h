// Access control lists of files (acl(5)), for who may not give a file away and yet wants another to use it.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

#include "protocol/result.h"

namespace ekey {

// Lets `user` have what the owner has by `mode` and `group` what a group has, beside the file's own owner.
// With a `group`, the file's own group has nothing. `mode`: permission bits, as for chmod(2), which this
// takes the place of. `path`: a file of this process's own, and no symbolic link. The error is the system's
// words alone.
Result<void> share_file(const std::string& path, unsigned mode, std::optional<uid_t> user,
                        std::optional<gid_t> group);

} // namespace ekey
