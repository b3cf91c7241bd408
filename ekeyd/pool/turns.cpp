#include "ekeyd/pool/turns.h"

#include <algorithm>
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
    const std::size_t size = taker.wanted();
    assert(size >= 1);
    if (taker.waiting()) {
        return;
    }
    const std::uint64_t due =
        expected(taker) ? std::max(now_, taker.served_at_ + std::max(size, least_kept)) : now_ + size;
    if (taker.kept_ && due == taker.due_) {
        release(taker); // in front of those who joined since
    } else {
        leave(taker);
        join(taker, due);
    }
    ++size_;
    local_ += taker.local_ ? 1 : 0;
}

// Its place is kept as if it asked for `size` bytes again.
void Turns::keep(Taker& taker, std::size_t size) {
    join(taker, now_ + std::max(size, least_kept));
    taker.served_at_ = now_;
    taker.kept_since_ = term_;
    taker.kept_ = true;
    ++kept_now_;
    if (kept_now_ + kept_before_ == 1) {
        begin_term_();
    }
}

// Its place is kept, and not yet longer than it should.
bool Turns::expected(const Taker& taker) const {
    return taker.kept_ && term_ - taker.kept_since_ <= 1;
}

void Turns::keep_places(std::function<void()> begin_term) {
    begin_term_ = std::move(begin_term);
}

void Turns::end_term() {
    ++term_;
    kept_before_ = kept_now_; // the places kept before are found to be free when their turn comes
    kept_now_ = 0;
    if (kept_before_ > 0) {
        begin_term_();
    }
}

void Turns::join(Taker& taker, std::uint64_t due) {
    taker.queue_ = this;
    taker.due_ = due;
    const std::size_t slot = taker.due_ % slots;
    Line& line = lines_[slot];
    taker.next_ = nullptr;
    taker.previous_ = line.tail;
    (line.tail != nullptr ? line.tail->next_ : line.head) = &taker;
    line.tail = &taker;
    occupied_[slot / 64] |= std::uint64_t{1} << slot % 64;
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
    if (taker.kept_) {
        release(taker);
    } else {
        --size_;
        local_ -= taker.local_ ? 1 : 0;
    }
}

// Its place is no longer kept for one who does not wait.
void Turns::release(Taker& taker) {
    if (expected(taker)) {
        --(taker.kept_since_ == term_ ? kept_now_ : kept_before_);
    }
    taker.kept_ = false;
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

// Who is due first, be it waiting or kept. Someone must wait.
Taker* Turns::next() const {
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
    while (size_ > 0) {
        Taker* const taker = next();
        if (taker->kept_) {
            if (expected(*taker) && pool.scarce()) {
                break;
            }
            leave(*taker);
            continue;
        }
        const std::size_t size = taker->wanted();
        if (pool.held_for(taker->local()) < size) {
            break;
        }
        leave(*taker);
        now_ = taker->due_;
        if (taker->serve(pool)) {
            wait(*taker);
        } else if (begin_term_ && (size_ > 0 || keeps_any())) {
            keep(*taker, size);
        }
    }
    run_on_reserve(pool);
    running_ = false;
}

// Looks at all who wait; but those who are here wait for a source, so this is done a few times a second.
Taker* Turns::first_local() const {
    Taker* first = nullptr;
    for (const Line& line : lines_) {
        for (Taker* taker = line.head; taker != nullptr; taker = taker->next_) {
            if (taker->local_ && !taker->kept_ && (first == nullptr || taker->due_ < first->due_)) {
                first = taker;
            }
        }
    }
    return first;
}

void Turns::run_on_reserve(Pool& pool) {
    while (local_ > 0 && pool.reserved() > 0) {
        Taker* const taker = first_local();
        if (pool.reserved() < taker->wanted()) {
            break;
        }
        leave(*taker);
        pool.draw_on_reserve(true);
        const bool again = taker->serve(pool);
        pool.draw_on_reserve(false);
        if (again) {
            wait(*taker);
        }
    }
}

} // namespace ekey
