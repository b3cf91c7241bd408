// One client of an EGD listener: a small fixed record, of which there may be ten thousand.
//
//            +---- all is answered ----+
//            v                         |
//        [reading] --- the supply cannot meet a blocking read ---> [waiting] --- its turn ---> [reading]
//            |
//            +--- its rate does not allow a blocking read yet ---> [held back] --- it does ---> [reading]
//            |
//            +--- the socket takes no more ---> [stalled] --- it took the rest ---> [reading]
//
// While it waits, is held back or is stalled, its later requests wait too: up to 64 bytes here, the rest in
// its socket.
#pragma once

#include <array>
#include <optional>

#include "ekeyd/listeners/kept_client.h"
#include "ekeyd/listeners/seal.h"
#include "ekeyd/listeners/timeouts.h"
#include "ekeyd/listeners/unsent.h"
#include "ekeyd/pool/turns.h"
#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"
#include "protocol/egd/server.h"

namespace ekey {

class ClientTable;

class Client final : public Taker {
  public:
    Client(ClientTable& table, Loop& loop, Fd socket, std::uint32_t index, std::unique_ptr<Seal> seal = {});
    ~Client() override;

    std::uint32_t index() const { return index_; }   // its place in the table
    const Seal* seal() const { return seal_.get(); } // null when its link is clear
    void begin();                   // with what came before it was a client; it may be destroyed by that
    void go_on_with(ByteView owed); // with what it asked another process for (kept_client.h); likewise
    // Lets go of its socket, with what it has asked for and not got; the client is lost then. Nothing when
    // its link is sealed, or does not take answers that are under way: bytes that left the pool go nowhere
    // else.
    std::optional<KeptClient> let_go();

    // It waits, and the loop cannot tell about its socket: that is full of requests, or was half closed.
    bool unwatched() const { return waits() && (end_ || held_ == input_size); }
    bool lost() const { return state_ == State::lost; }
    // Its peer is gone for good: reset, or (Unix) closed; or it is another process's. A TCP peer that only
    // closed its side may still read.
    bool vanished() const;

    std::size_t wanted() const override;
    bool serve(Pool& pool) override;
    void rate_allows(); // when it is held back: goes on with the read, whose bytes are counted
    bool quiet_for_too_long(const Timeouts& limits); // called at each of their ticks
    void try_again(); // when it waits, but not in the pool's queue: goes on if the supply is ready

  private:
    // Requests that can be answered together; a client that sends more has them read the next time.
    static constexpr std::size_t input_size = Owed::capacity - egd::max_request;

    enum class State : Byte {
        reading,
        waiting,   // for the supply: `pending_` is its blocking read
        held_back, // by its rate, or its network's: likewise
        stalled,   // for its socket: `unsent_` holds what it must take first
        lost,      // to be closed
    };
    void enter(State state);
    bool waits() const { return state_ == State::waiting || state_ == State::held_back; }

    void on_ready(int events);
    ssize_t read(ByteSpan into);
    ssize_t write(ByteView bytes);
    void receive();
    void settle();
    void read_on();
    void receive_ahead();
    void send_unsent();
    void work(ByteView in);
    void carry_on();
    void go_on();
    bool answer(const egd::Request& request);
    bool may_read(std::size_t count);
    std::size_t read_now(std::size_t count);
    std::uint64_t level();
    void take(std::size_t count, std::size_t header, Claim claim);
    void leave_if_lost();
    bool flush();
    void watch();

    ClientTable& table_;
    Fd socket_;
    std::unique_ptr<Seal> seal_; // null when the link is clear
    IoWatcher watcher_;          // after socket_: it stops before that is closed
    std::uint32_t index_;
    Unsent::Slot unsent_ = 0; // in State::stalled
    State state_ = State::reading;
    std::uint32_t waits_since_ =
        0; // in State::waiting: milliseconds of the loop's clock, modulo 2^32 (49 days)
    egd::RequestParser parser_;
    egd::Request pending_; // valid when has_pending_
    bool has_pending_ = false;
    bool passed_ = false; // its rate allows pending_, whose bytes are counted already
    bool end_ = false;    // the client has closed its side
    Quiet quiet_;
    Byte held_ = 0; // bytes in input_
    std::array<Byte, input_size> input_;
};
static_assert(sizeof(Client) <= 264, "ten thousand of them are to fit in a few megabytes");

} // namespace ekey
