#include "egd-push/session.h"

#include "egd-push/round.h"
#include "ekeyd/runtime/log.h"

namespace ekey {

Session::Session(Loop& loop, const PushOptions& options, Destination& destination, SessionOwner& owner,
                 const sealed::KeyPair* self)
    : options_(options), destination_(destination), owner_(owner), self_(self), need_(loop),
      quorum_(options.quorum, options.interval) {
    need_.bind<&Session::on_need>(this);
    if (!destination.mixes()) {
        rounds_.push_back(std::make_unique<Round>(loop, *this, options.from));
        return;
    }
    for (const config::Address& address : options.from) {
        rounds_.push_back(std::make_unique<Round>(loop, *this, std::vector{address}));
    }
}

Session::~Session() = default;

void Session::start() {
    for (const auto& round : rounds_) {
        round->ask();
    }
}

void Session::push_soon() {
    for (const auto& round : rounds_) {
        round->ask_anew();
    }
}

void Session::on_pushed(unsigned bits_credited) {
    if (++pushes_ == 1) {
        owner_.on_first_push();
    }
    // On kernels that say when they want more. Without credit they would never stop asking.
    if (const int fd = destination_.need_fd(); fd >= 0 && bits_credited > 0) {
        need_.watch(fd, IoWatcher::writable);
    }
}

void Session::on_need(int) {
    need_.stop();
    log::debug("the kernel's pool asks for more");
    for (const auto& round : rounds_) {
        round->ask_soon();
    }
}

void Session::on_round_over(bool) {
    if (++over_ == rounds_.size() || destination_.gone()) {
        owner_.on_finished(pushes_ > 0 && !destination_.gone());
    }
}

} // namespace ekey
