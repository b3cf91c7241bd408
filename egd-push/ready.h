// Readiness, as sd_notify(3) tells it to a service manager: a datagram to the socket named in NOTIFY_SOCKET.
#pragma once

#include <string_view>

namespace ekey {

// Sends "NAME=VALUE" lines. Does nothing when no service manager asked for it; a failure is ignored, since
// nobody else could do anything about it. Never blocks.
void tell_service_manager(std::string_view state);

} // namespace ekey
