// Opens the place where a serial dongle is reached.
#pragma once

#include <string>

#include "ekeyd/runtime/handle.h"
#include "protocol/result.h"

namespace ekey {

// Whether `baud` is one of the rates that ttys have: 110 to 921600, not every number between.
bool baud_known(unsigned baud);

// Opens a tty (set to raw 8N1; the baud rate means nothing to a USB dongle and is set to `baud`), or connects
// to a Unix socket at `path`. The descriptor is non-blocking and close-on-exec, and holds an advisory lock,
// so that two programs never split one dongle's frames between them. Errors name the path: absent, not
// permitted, in use, neither a tty nor a socket.
//
// HUPCL is cleared: with it, closing drops DTR, which hangs an Entropy Key until it is unplugged.
Result<Fd> open_port(const std::string& path, unsigned baud = 115200);

} // namespace ekey
