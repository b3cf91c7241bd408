// Signals that come before anybody can act on them.
#pragma once

namespace ekey {

// From now on this signal waits, once however often it comes, until it is released: after a SignalWatcher has
// been started for it. Holds for the thread that calls this and for those that it makes.
void hold_signal(int signal);
void release_signal(int signal);

} // namespace ekey
