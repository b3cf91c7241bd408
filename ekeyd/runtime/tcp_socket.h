// TCP sockets that listen.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/passed_sockets.h"
#include "protocol/result.h"

namespace ekey {

// What becomes of a host name: it is looked up at once, so that a slow name server is waited for; or refused,
// while nothing may be waited for.
enum class HostNames { look_up, refuse };

// Binds and listens on every address that `host` has: a number (0.0.0.0 and :: are all of this host's, ::
// with those of IPv4) or a name. Non-blocking
// and close-on-exec. Port 0 lets the kernel choose, one port for all. What is accepted inherits TCP_NODELAY
// and keep-alive probes. An address family that this host lacks is passed over when another one works.
// If sockets were passed for some of the addresses, those are used, and no other is opened.
// Errors: one sentence with host and port, in use, not permitted, no such name.
Result<std::vector<Fd>> listen_tcp(const std::string& host, std::uint16_t port,
                                   HostNames names = HostNames::look_up, const PassedTo& passed = {});

// "127.0.0.1:8888" or "[::1]:8888": where a socket is bound. Empty when it is not bound to an IP address.
std::string bound_host_port(int fd);

} // namespace ekey
