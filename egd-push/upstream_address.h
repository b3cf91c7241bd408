// What --from may name, and how far its bytes can be trusted by the way that they come.
#pragma once

#include "ekeyd/config/address.h"

namespace ekey {

// Whether egd-push can reach such an address:
//     unix:/PATH         a Unix socket
//     tcp:HOST:PORT      TCP, in clear
//     vsock:CID:PORT     vsock, as a rule to the host (CID host)
//     sealed:HOST:PORT,key=PUBLIC_KEY    TCP, sealed: only the server with this key can answer, and only this
//                        host can read it
//     char:/PATH         a character device that carries EGD to the host, such as a port of virtio-serial
// Errors name the address and what would be right. Looks nothing up and opens nothing.
Result<void> check_upstream(const config::Address& address);

// How bytes come from an upstream.
enum class Path {
    clear, // over a network, where others may watch and alter them
    // From this machine or its host. vsock and a character device count as local: their bytes pass through
    // the hypervisor alone, which can read all of a guest's memory and so learns nothing that it could not
    // take.
    local,
    sealed, // from the server with the key that was given
};
Path path_of(const config::Address& upstream); // has passed check_upstream()

} // namespace ekey
