// Those who wait for bytes, served in turns: self-clocked fair queueing (Golestani, INFOCOM 1994). Who joins
// at virtual time v and wants n bytes is due at v + n; the earliest due is served first, and the virtual time
// is then its due time. So who asks for 255 bytes at a time gets no more of a scarce pool than who asks for
// 16, also when each asks again only after its answer; a plain round of turns would give it 16 times as much,
// and so would deficit round robin, which forgets the deficit of who leaves the queue. Joining anew gains
// nothing, and whoever is due at d is served before anyone who joins once the virtual time is d: nobody
// starves.
//
// Most clients ask again only after an answer, and a source gives a block of kilobytes at once. While such a
// client's next request is on its way, one that asks far ahead would take all that is left. So who is served
// while others wait may have its place kept for a few milliseconds, as if it asked at once for as much again
// (anticipation, as Iyer and Druschel gave it to disk schedulers, SOSP 2001); those due later wait for it.
// Only while the pool is scarce: when it is plentiful, nothing is held up.
//
// A reserve (pool.h) is for local takers. One that waits for what others are to have first is served from it,
// and keeps its turn for the rest of what it asks.
//
// Due times of clients lie within 255 bytes of now, so they hash into 256 slots without a search (a timing
// wheel, Varghese and Lauck 1987): the cost is a constant for each answer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace ekey {

class Pool;
class Turns;

// By what right bytes are taken: it is the taker's turn, or nobody is passed over (Pool::spare).
enum class Claim { turn, spare };

// One that waits: a blocked client, a sink. Leaves its queue when destroyed.
class Taker {
  public:
    Taker() = default;
    Taker(const Taker&) = delete;
    Taker& operator=(const Taker&) = delete;

    // Bytes of the answer it waits for, 1..255 (more for a sink, never above the pool's capacity: while it is
    // the next, all others wait until the pool holds that much). Does not change while it waits.
    virtual std::size_t wanted() const = 0;
    // Its turn: the pool holds at least wanted(); take exactly that many. Returns true when it goes on
    // waiting (wanted() is then its next answer). It may not wait(), leave() or destroy itself or others from
    // here: what must go is marked and removed later. One that finds it has no use for the bytes takes none
    // and returns false.
    virtual bool serve(Pool& pool) = 0;

    bool waiting() const { return queue_ != nullptr && !kept_; }
    bool local() const { return local_; }

  protected:
    virtual ~Taker();
    void set_local(bool local) { local_ = local; } // before it waits for the first time

  private:
    friend class Turns;
    Turns* queue_ = nullptr;
    Taker *next_ = nullptr, *previous_ = nullptr;
    std::uint64_t due_ = 0;        // virtual time in bytes
    std::uint64_t served_at_ = 0;  // the same, of its last answer; valid when kept_
    std::uint64_t kept_since_ = 0; // Turns::term_; valid when kept_
    bool kept_ = false;            // it does not wait, but its place is kept
    bool local_ = true;            // the reserve is for it
};

class Turns {
  public:
    Turns() = default;
    ~Turns();
    Turns(const Turns&) = delete;
    Turns& operator=(const Turns&) = delete;

    void wait(Taker& taker);  // joins; no effect when it waits already
    void leave(Taker& taker); // gives up its place, if it has one
    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    bool any_local() const { return local_ > 0; } // waits

    // Serves until the pool cannot satisfy the next one, for whom all others then wait, or until the next one
    // is expected (below) and the pool is scarce. No effect from within a Taker's serve().
    void run(Pool& pool);

    // From now on places are kept. A term is a few milliseconds, and there is no clock here: `begin_term` is
    // called when one is to be measured (anew, if one is being measured), and end_term() is to be called, and
    // run() after it, when it is over. A place is kept for one term at least and two at most. begin_term runs
    // within run() or end_term(), and calls nothing here.
    void keep_places(std::function<void()> begin_term);
    void end_term();
    bool keeps_any() const { return kept_now_ + kept_before_ > 0; }

  private:
    static constexpr std::size_t slots = 256; // above the largest answer of a client
    // A place is kept for no less than this: or one who asks for single bytes, each at the last moment, would
    // hold up a request of 255 bytes for 255 terms.
    static constexpr std::size_t least_kept = 16;

    struct Line { // those due at the same time modulo `slots`, first come first
        Taker *head = nullptr, *tail = nullptr;
    };
    void join(Taker& taker, std::uint64_t due);
    void keep(Taker& taker, std::size_t size);
    bool expected(const Taker& taker) const;
    void release(Taker& taker);
    Taker* next() const;
    Taker* first_local() const;
    void run_on_reserve(Pool& pool);
    std::size_t next_occupied(std::size_t slot) const;

    std::array<Line, slots> lines_{};
    std::array<std::uint64_t, slots / 64> occupied_{}; // a bit for each line that is not empty
    std::uint64_t now_ = 0;                            // virtual time: bytes of service to each
    std::size_t size_ = 0;                             // those who wait
    std::size_t local_ = 0;                            // of these, the local ones
    std::function<void()> begin_term_;                 // null: no places are kept
    std::uint64_t term_ = 0;                           // counts them
    std::size_t kept_now_ = 0, kept_before_ = 0;       // places kept since this term, since the one before
    bool running_ = false;
};

} // namespace ekey
