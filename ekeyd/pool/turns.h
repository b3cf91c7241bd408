// Those who wait for bytes, served in turns: self-clocked fair queueing (Golestani, INFOCOM 1994). Who joins
// at virtual time v and wants n bytes is due at v + n; the earliest due is served first, and the virtual time
// is then its due time. So who asks for 255 bytes at a time gets no more of a scarce pool than who asks for
// 16, also when each asks again only after its answer; a plain round of turns would give it 16 times as much,
// and so would deficit round robin, which forgets the deficit of who leaves the queue. Joining anew gains
// nothing, and whoever is due at d is served before anyone who joins once the virtual time is d: nobody
// starves.
//
// Due times of clients lie within 255 bytes of now, so they hash into 256 slots without a search (a timing
// wheel, Varghese and Lauck 1987): the cost is a constant for each answer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ekey {

class Pool;
class Turns;

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

    bool waiting() const { return queue_ != nullptr; }

  protected:
    virtual ~Taker();

  private:
    friend class Turns;
    Turns* queue_ = nullptr;
    Taker *next_ = nullptr, *previous_ = nullptr;
    std::uint64_t due_ = 0; // virtual time in bytes
};

class Turns {
  public:
    Turns() = default;
    ~Turns();
    Turns(const Turns&) = delete;
    Turns& operator=(const Turns&) = delete;

    void wait(Taker& taker);  // joins; no effect when it waits already
    void leave(Taker& taker); // no effect when it does not wait
    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }

    // Serves until the pool cannot satisfy the next one, for whom all others then wait. No effect from within
    // a Taker's serve().
    void run(Pool& pool);

  private:
    static constexpr std::size_t slots = 256; // above the largest answer of a client

    struct Line { // those due at the same time modulo `slots`, first come first
        Taker *head = nullptr, *tail = nullptr;
    };
    Taker* next() const;
    std::size_t next_occupied(std::size_t slot) const;

    std::array<Line, slots> lines_{};
    std::array<std::uint64_t, slots / 64> occupied_{}; // a bit for each line that is not empty
    std::uint64_t now_ = 0;                            // virtual time: bytes of service to each
    std::size_t size_ = 0;
    bool running_ = false;
};

} // namespace ekey
