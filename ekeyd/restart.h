// EGD clients stay connected while ekeyd is restarted: the service manager has their sockets meanwhile. QEMU
// needs that: it asks for bytes once, waits, and does not ask again after its connection was lost, so a guest
// would have no more randomness until it is restarted itself.
//
// On exit, and not before, each client's socket goes into the manager's store, and one more descriptor, a
// file in memory (memfd_create(2), sealed) that says what each client is owed (kept_state.h). To have each
// connection there from its beginning would help after a crash, too; but it would cost two messages a
// connection, and a client that was in the middle of something could not be told from one that is owed
// nothing: it would wait for ever, or get bytes that it did not ask for. So after a crash clients are lost,
// as before.
//
// No byte of the pool goes there. What a client's socket has not taken cannot be sent by anyone else
// (promise 4), so such a client is closed; it is one that has left some 200 KiB unread. Sealed links are not
// kept: their keys never leave locked memory, and both ekeyd and egd-push connect again. Limits that count
// over time, such as rates, begin anew.
#pragma once

#include <vector>

#include "ekeyd/pipeline.h"
#include "ekeyd/runtime/passed_sockets.h"

namespace ekey {

// Does nothing when the service manager has no store. Takes three seconds at most.
void hand_clients_over(Pipeline& pipeline);

// What of the passed descriptors is no listening socket: clients of the last process, and what nobody knows,
// which is closed. Call it when the listeners are there and nothing can go wrong any more: from here on the
// store is empty.
void take_clients_over(Pipeline& pipeline, std::vector<PassedDescriptor> descriptors);

} // namespace ekey
