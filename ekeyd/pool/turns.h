// Those who wait for bytes, served in turns: deficit round robin (Shreedhar and Varghese, SIGCOMM 1995), so that
// who asks for 255 bytes at a time gets no more of a scarce pool than who asks for 16.
#pragma once

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

    // Bytes of the answer it waits for, 1..255 (more for a sink, never above the pool's capacity).
    virtual std::size_t wanted() const = 0;
    // Its turn: the pool holds at least wanted(); take exactly that many. Returns true when it goes on waiting
    // (wanted() is then its next answer). It may not wait(), leave() or destroy itself or others from here:
    // what must go is marked and removed later.
    virtual bool serve(Pool& pool) = 0;

    bool waiting() const { return queue_ != nullptr; }

  protected:
    ~Taker();

  private:
    friend class Turns;
    Turns* queue_ = nullptr;
    Taker *next_ = nullptr, *previous_ = nullptr;
    std::uint32_t deficit_ = 0;
};

class Turns {
  public:
    Turns() = default;
    ~Turns();
    Turns(const Turns&) = delete;
    Turns& operator=(const Turns&) = delete;

    void wait(Taker& taker);  // joins the end of the queue; no effect when it waits already
    void leave(Taker& taker); // no effect when it does not wait
    bool empty() const { return head_ == nullptr; }
    std::size_t size() const { return size_; }

    // Serves until the pool cannot satisfy the next one. Cost: a constant for each answer given.
    void run(Pool& pool);

  private:
    Taker *head_ = nullptr, *tail_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace ekey
