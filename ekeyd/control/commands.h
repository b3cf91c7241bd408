// The commands of the control socket: one table.
#pragma once

#include "ekeyd/config/call.h"
#include "ekeyd/control/answer.h"
#include "ekeyd/control/subject.h"

namespace ekey::control {

// What a command asks of the connection once its answer is given.
struct Outcome {
    bool close = false;      // say goodbye
    unsigned capture = 0;    // divert this source's bytes to the client; the answer comes then. 0: none
    std::uint64_t bytes = 0; // of the capture
};

// Carries the call out and writes its answer (for a capture: nothing yet).
Outcome execute(Subject& subject, const config::Call& call, Answer& answer);

} // namespace ekey::control
