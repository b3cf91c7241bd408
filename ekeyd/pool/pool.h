// The pool: conditioned bytes until someone takes them, and the queue of those who wait for them.
// Promises 3 (only what it holds), 4 (a byte taken is erased) and 7 (turns).
#pragma once

#include <cstdint>
#include <functional>

#include "ekeyd/pool/drbg.h"
#include "ekeyd/pool/turns.h"
#include "ekeyd/runtime/secret.h"
#include "protocol/bytes.h"

namespace ekey {

class Pool {
  public:
    // The longest EGD answer and its count: a smaller pool could leave a client waiting for ever.
    static constexpr std::size_t min_capacity = 256;
    // What a reserve must leave: as much, and room for a conditioned output of 64 bytes, which is put as a
    // whole or not at all.
    static constexpr std::size_t least_shared = min_capacity + 64;

    // Capacity in bytes, in locked memory: at least min_capacity. Throws when the memory cannot be locked.
    explicit Pool(std::size_t capacity);

    std::size_t size() const { return size_; }                // bytes held
    std::size_t capacity() const { return ring_.size(); }     // bytes
    std::size_t room() const { return ring_.size() - size_; } // bytes that put() would take

    // Keeps up to `bytes` of what it holds for local takers, at most capacity() - least_shared. While anyone
    // waits, half of what comes goes there until that much is kept: so the reserve fills however many remote
    // clients there are, and they have the other half however much the local ones take. While nobody waits,
    // all of it does.
    void keep_reserve(std::size_t bytes);
    std::size_t reserved() const { return reserved_; }
    // What a local taker, or a remote one, may have when it is its turn.
    std::size_t held_for(bool local) const { return local ? size_ : size_ - reserved_; }

    // Stores bytes; `bytes` must fit in room(). Waiters are served by the next serve(), not here.
    void put(ByteView bytes);

    // Less than half full. A fast source fills it above that, whatever is held up here while it is scarce.
    bool scarce() const { return size_ - reserved_ < (capacity() - reserve_) / 2; }

    // For those who do not wait: bytes that may be taken now, past those who wait. 0 while anyone waits, or
    // is expected to at once (see turns.h); but then local ones have the reserve, if none of them waits.
    std::size_t spare(bool local = true) const {
        return nobody_first() ? held_for(local) : local && !turns_.any_local() ? reserved_ : 0;
    }
    // Moves out.size() bytes to `out` and erases them here; false (and nothing moved) when fewer are held.
    // The reserve comes last, unless it is what was spare.
    bool take(ByteSpan out, Claim claim = Claim::turn);
    void draw_on_reserve(bool on) { drawing_ = on; } // for Turns: the next turn's bytes are of the reserve

    // Back-pressure, the other way: `call` is called each time a take() leaves fewer than `mark` bytes where
    // there were `mark` or more. It runs within take(): it may put(), but may not take() or serve(). One at a
    // time; a null function ends it.
    void on_low(std::size_t mark, std::function<void()> call);

    Turns& turns() { return turns_; } // where those who wait queue up
    const Turns& turns() const { return turns_; }
    // Lets those who wait take what is there, in turns.
    void serve();
    // Queues up. While places are kept, what they hold up may be for this one, or for those behind it: they
    // are served. For who cannot be served now; see serve() otherwise.
    void wait(Taker& taker);
    // `call` is called whenever somebody waits and cannot be served: more is wanted, however much is held. It
    // may put(), but may not take() or serve().
    void on_wanted(std::function<void()> call) { on_wanted_ = std::move(call); }

    // The generator for listeners that ask for it; it feeds on this pool.
    Drbg& drbg() { return drbg_; }
    const Drbg& drbg() const { return drbg_; }

    struct Counters {
        std::uint64_t bytes_in = 0, bytes_out = 0;
    };
    const Counters& counters() const { return counters_; }

  private:
    void want();
    bool nobody_first() const { return turns_.empty() && !(turns_.keeps_any() && scarce()); }

    SecretBytes ring_;
    std::size_t first_ = 0, size_ = 0;
    std::size_t reserve_ = 0, reserved_ = 0; // to be kept; kept, and counted in size_
    bool drawing_ = false;
    std::size_t low_mark_ = 0;
    std::function<void()> on_low_, on_wanted_;
    Turns turns_;
    Drbg drbg_{*this};
    Counters counters_;
};

} // namespace ekey
