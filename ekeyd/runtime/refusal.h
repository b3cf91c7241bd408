// What the system may refuse at any time: memory, memory to lock (RLIMIT_MEMLOCK), a thread.
#pragma once

#include <exception>
#include <new>
#include <utility>

#include "protocol/result.h"

namespace ekey {

// Calls `make`, which returns a Result. An exception that it throws because the system refuses something
// becomes the Error: whoever asked for the new part does not get it, and the daemon goes on.
template <class Make>
auto refusal_as_error(Make make) -> decltype(make()) {
    try {
        return make();
    } catch (const std::bad_alloc&) {
        return fail("there is no memory left");
    } catch (const std::exception& refused) { // SecretBytes, std::thread
        return fail(refused.what());
    }
}

} // namespace ekey
