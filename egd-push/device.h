// A character device behind which an EGD server sits: a port of virtio-serial, or a serial line of the
// host's.
#pragma once

#include <string>

#include "ekeyd/runtime/handle.h"
#include "protocol/result.h"

namespace ekey {

// Opens it for reading and writing, non-blocking and close-on-exec, and never waits. A terminal is made raw.
// Errors, each one clause: it cannot be opened (with what that means), it is no character device, or nobody
// is at its other end. The last one is not waited for: such a port is readable all the time, with an end of
// file (fill_readbuf() and port_fops_poll(), drivers/char/virtio_console.c), and nothing tells when that
// ends.
Result<Fd> open_device(const std::string& path);

} // namespace ekey
