// Readiness, as sd_notify(3) tells it to a service manager: a datagram to the socket named in NOTIFY_SOCKET.
#pragma once

#include <limits>
#include <optional>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>

#include "ekeyd/runtime/loop.h"

namespace ekey {

// A whole number that the service manager has put into the environment, up to `most`; 0 when there is none,
// or something else.
long long number_in_environment(const char* name, long long most = std::numeric_limits<long long>::max());

// Where the service manager listens; nothing when none asked to be told.
struct NotifyAddress {
    sockaddr_un address;
    socklen_t size;
};
std::optional<NotifyAddress> notify_address();

// Sends "NAME=VALUE" lines. Does nothing when no service manager asked for it; a failure is ignored, since
// nobody else could do anything about it. Never blocks.
void tell_service_manager(std::string_view state);

// RELOADING=1, with the time that Type=notify-reload asks for (sd_notify(3)). READY=1 ends it.
void tell_reloading();

// Says WATCHDOG=1 at half the time in which the service manager wants to hear it (sd_watchdog_enabled(3)),
// from the loop: one that hangs is silent. Does nothing when none is wanted of this process.
class Watchdog {
  public:
    explicit Watchdog(Loop& loop);

  private:
    void on_time() { tell_service_manager("WATCHDOG=1"); }
    Timer timer_;
};

} // namespace ekey
