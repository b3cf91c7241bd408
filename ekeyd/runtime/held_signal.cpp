#include "ekeyd/runtime/held_signal.h"

#include <csignal>

namespace ekey {

namespace {
void set_blocked(int how, int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(how, &set, nullptr);
}
} // namespace

void hold_signal(int signal) {
    set_blocked(SIG_BLOCK, signal);
}

void release_signal(int signal) {
    set_blocked(SIG_UNBLOCK, signal);
}

} // namespace ekey
