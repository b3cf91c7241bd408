#include "ekeyd/pool/turns.h"

#include <bit>
#include <cassert>

#include "ekeyd/pool/pool.h"

namespace ekey {

Taker::~Taker() {
    if (queue_ != nullptr) {
        queue_->leave(*this);
    }
}

Turns::~Turns() {
    for (Line& line : lines_) {
        while (line.head != nullptr) {
            leave(*line.head);
        }
    }
}

void Turns::wait(Taker& taker) {
    if (taker.queue_ != nullptr) {
        return;
    }
    assert(taker.wanted() >= 1);
    taker.queue_ = this;
    taker.due_ = now_ + taker.wanted();
    const std::size_t slot = taker.due_ % slots;
    Line& line = lines_[slot];
    taker.next_ = nullptr;
    taker.previous_ = line.tail;
    (line.tail != nullptr ? line.tail->next_ : line.head) = &taker;
    line.tail = &taker;
    occupied_[slot / 64] |= std::uint64_t{1} << slot % 64;
    ++size_;
}

void Turns::leave(Taker& taker) {
    if (taker.queue_ != this) {
        return;
    }
    const std::size_t slot = taker.due_ % slots;
    Line& line = lines_[slot];
    (taker.previous_ != nullptr ? taker.previous_->next_ : line.head) = taker.next_;
    (taker.next_ != nullptr ? taker.next_->previous_ : line.tail) = taker.previous_;
    if (line.head == nullptr) {
        occupied_[slot / 64] &= ~(std::uint64_t{1} << slot % 64);
    }
    taker.next_ = taker.previous_ = nullptr;
    taker.queue_ = nullptr;
    --size_;
}

// How many slots after `slot` the first occupied one is, itself included. Some slot must be occupied.
std::size_t Turns::next_occupied(std::size_t slot) const {
    std::size_t word = slot / 64;
    std::uint64_t bits = occupied_[word] >> slot % 64;
    if (bits != 0) {
        return static_cast<std::size_t>(std::countr_zero(bits));
    }
    std::size_t distance = 64 - slot % 64;
    for (;;) {
        word = (word + 1) % occupied_.size();
        if (occupied_[word] != 0) {
            return distance + static_cast<std::size_t>(std::countr_zero(occupied_[word]));
        }
        distance += 64;
    }
}

Taker* Turns::next() const {
    if (size_ == 0) {
        return nullptr;
    }
    for (std::uint64_t due = now_;; ++due) {
        due += next_occupied(due % slots);
        // One that wants more than a turn of the wheel shares its slot with others that are due sooner.
        for (Taker* taker = lines_[due % slots].head; taker != nullptr; taker = taker->next_) {
            if (taker->due_ == due) {
                return taker;
            }
        }
    }
}

void Turns::run(Pool& pool) {
    if (running_) {
        return;
    }
    running_ = true;
    while (Taker* taker = next()) {
        if (pool.size() < taker->wanted()) {
            break;
        }
        leave(*taker);
        now_ = taker->due_;
        if (taker->serve(pool)) {
            wait(*taker);
        }
    }
    running_ = false;
}

} // namespace ekey
