// Sockets between a virtual machine and its host (AF_VSOCK, vsock(7)).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/passed_sockets.h"
#include "protocol/result.h"

namespace ekey {

// Fills `storage` and returns the size of the address in it.
socklen_t vsock_address(std::uint32_t cid, std::uint32_t port, sockaddr_storage& storage);

// What an error of socket(), bind() or connect() means for AF_VSOCK: a clause for a person, with the remedy
// where there is one.
std::string vsock_reason(int error);

// Binds and listens, non-blocking and close-on-exec; one socket. A port below 1024 needs
// CAP_NET_BIND_SERVICE. One that was passed is used. Errors: one sentence with the address.
Result<std::vector<Fd>> listen_vsock(std::uint32_t cid, std::uint32_t port, const PassedTo& passed = {});

// "CID:PORT", where a socket is bound ("any:888" on every CID). Empty when it is no vsock socket.
std::string bound_cid_port(int fd);

} // namespace ekey
