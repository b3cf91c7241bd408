// Lets TLS handshakes begin a few at a time. The library would make those of all whose first message is there
// in one go, each for a millisecond or ten of signing, while everybody else on the loop waits.
//
// A connection is held here until its first record is there as a whole. Then it goes on, when its address has
// not begun too many, and the next ones after it for as long as a few milliseconds last; the rest goes on
// when the loop has been round. Nobody is sent away for coming at the same time as others.
#pragma once

#include <cstdint>
#include <list>

#include "ekeyd/listeners/handshake_limits.h"
#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"

namespace ekey::http {

class HelloGateOwner {
  public:
    // It may begin; then left() is called when its handshake is over. `place` is what add() was given.
    virtual void on_hello(Fd socket, std::uint32_t place, const IpAddress& from) = 0;
    // It is closed. `late`: its record, or its turn, has not come in time; or else it has said what is no
    // TLS, or is gone.
    virtual void on_no_hello(std::uint32_t place, bool late) = 0;

  protected:
    ~HelloGateOwner() = default;
};

class HelloGate {
  public:
    // How long one may stay here: until its record is there as a whole, and in all.
    struct Patience {
        Duration record, turn;
    };
    HelloGate(Loop& loop, HelloGateOwner& owner, Patience patience);

    // Takes over a connected, non-blocking TCP socket. The owner is called from the loop, not from here.
    void add(Fd socket, std::uint32_t place, const IpAddress& from);
    void left(const IpAddress& from); // a handshake is over, or its connection
    std::size_t size() const { return waiting_.size() + ready_.size(); }

    // How long signing may go on before others have their turn; one signature may take as long again.
    static constexpr Duration slice = std::chrono::milliseconds(4);

  private:
    struct Waiting {
        Waiting(HelloGate& by, Loop& loop, Fd its_socket, std::uint32_t its_place, const IpAddress& its_from,
                Time now)
            : gate(by), socket(std::move(its_socket)), place(its_place), from(its_from), came(now),
              watcher(loop) {}
        void on_ready(int) { gate.look(*this); }

        HelloGate& gate;
        Fd socket;
        std::uint32_t place;
        IpAddress from;
        Time came;
        std::size_t awaited = 0; // bytes that must be there
        std::list<Waiting>::iterator self;
        IoWatcher watcher; // after the socket: it stops before that is closed
    };
    void await(Waiting& one, std::size_t bytes);
    void look(Waiting& one);
    void let_in();
    void end_all_late();
    void end_late(std::list<Waiting>& among, Time came);
    void drop(Waiting& one, bool late);

    Loop& loop_;
    HelloGateOwner& owner_;
    Patience patience_;
    HandshakeLimits limits_;
    std::list<Waiting> waiting_, ready_; // for their record; to be let in
    Timer turn_, late_;
};

} // namespace ekey::http
