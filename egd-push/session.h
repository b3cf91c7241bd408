// Who is asked when, and what becomes of the answers.
#pragma once

#include "egd-push/destination.h"
#include "egd-push/options.h"
#include "egd-push/pace.h"
#include "egd-push/quorum.h"
#include "egd-push/upstream.h"

namespace ekey {

class SessionOwner {
  public:
    virtual void on_first_push() = 0;
    // --once: all was tried. Otherwise only when the destination is gone for ever.
    virtual void on_finished(bool pushed) = 0;

  protected:
    ~SessionOwner() = default;
};

// Upstreams that are asked together, and whose answers make one push. For a pool that mixes, each upstream
// has a round of its own, so that none waits for another.
class Round;

class Session {
  public:
    // All must outlive the session. `self` is this host's key; null when no upstream is sealed.
    Session(Loop& loop, const PushOptions& options, Destination& destination, SessionOwner& owner,
            const sealed::KeyPair* self);
    ~Session();

    void start(); // asks every upstream at once
    // The machine slept, its clock jumped or it was cloned: pushes as soon as may be.
    void push_soon();

    std::uint64_t pushes() const { return pushes_; }

  private:
    friend class Round;
    void on_pushed(unsigned bits_credited);
    void on_round_over(bool pushed);
    void on_need(int events);

    const PushOptions& options_;
    Destination& destination_;
    SessionOwner& owner_;
    const sealed::KeyPair* self_;
    std::vector<std::unique_ptr<Round>> rounds_;
    IoWatcher need_;
    Quorum quorum_;
    std::uint64_t pushes_ = 0;
    std::size_t over_ = 0; // rounds that --once has seen to their end
};

} // namespace ekey
