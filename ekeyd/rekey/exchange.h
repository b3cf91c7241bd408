// Talks to the Entropy Key at the other end of a descriptor, and waits for its answers.
#pragma once

#include <optional>

#include "ekeyd/runtime/secret.h"
#include "protocol/entropykey/longterm.h"
#include "protocol/result.h"

namespace ekey::rekey {

// Gives the device a new long-term key. The key that it returns exists nowhere else but in the device.
// `fd` is non-blocking. `may_have_changed`: see LongTermRekey.
Result<Locked<entropykey::LongTermRekey::NewKey>>
set_long_term_key(int fd, const entropykey::MasterKey& master,
                  const std::optional<entropykey::Serial>& expected, bool& may_have_changed);

// Opens a session and waits until a frame was sealed under a key that only the right long-term key gives.
Result<void> try_long_term_key(int fd, const entropykey::LongTermRekey::NewKey& key);

} // namespace ekey::rekey
