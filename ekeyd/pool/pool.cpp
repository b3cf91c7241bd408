#include "ekeyd/pool/pool.h"

#include <algorithm>
#include <cassert>

namespace ekey {

Pool::Pool(std::size_t capacity) : ring_(capacity) {
    assert(capacity >= min_capacity);
}

void Pool::put(ByteView bytes) {
    assert(bytes.size() <= room());
    std::size_t at = first_ + size_;
    if (at >= ring_.size()) {
        at -= ring_.size();
    }
    const std::size_t before_end = std::min(bytes.size(), ring_.size() - at);
    std::copy_n(bytes.begin(), before_end, ring_.data() + at);
    std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(before_end), bytes.end(), ring_.data());
    size_ += bytes.size();
    const std::size_t kept = turns_.empty() ? size_ : reserved_ + bytes.size() / 2;
    reserved_ = std::max(reserved_, std::min(reserve_, kept));
    counters_.bytes_in += bytes.size();
}

void Pool::keep_reserve(std::size_t bytes) {
    assert(bytes == 0 || bytes + least_shared <= capacity());
    reserve_ = bytes;
    reserved_ = std::min(size_, reserve_);
}

bool Pool::take(ByteSpan out, Claim claim) {
    if (out.size() > size_) {
        return false;
    }
    const bool reserve_first = drawing_ || (claim == Claim::spare && !nobody_first());
    const std::size_t others = size_ - reserved_;
    reserved_ -= reserve_first ? std::min(out.size(), reserved_) : out.size() - std::min(out.size(), others);
    const std::size_t held = size_;
    for (std::size_t done = 0; done < out.size();) { // once, or twice across the ring's end
        const ByteSpan piece =
            ring_.span().subspan(first_, std::min(out.size() - done, ring_.size() - first_));
        std::memcpy(out.data() + done, piece.data(), piece.size());
        wipe(piece);
        done += piece.size();
        first_ += piece.size();
        if (first_ == ring_.size()) {
            first_ = 0;
        }
    }
    size_ -= out.size();
    counters_.bytes_out += out.size();
    if (held >= low_mark_ && size_ < low_mark_) {
        on_low_();
    }
    return true;
}

void Pool::serve() {
    turns_.run(*this);
    if (!turns_.empty()) {
        want();
    }
}

void Pool::wait(Taker& taker) {
    const bool held_up = turns_.keeps_any();
    turns_.wait(taker);
    if (held_up) {
        serve();
    } else {
        want();
    }
}

void Pool::want() {
    if (!on_wanted_) {
        return;
    }
    const std::size_t held = size_;
    on_wanted_();
    if (size_ != held) {
        turns_.run(*this);
    }
}

void Pool::on_low(std::size_t mark, std::function<void()> call) {
    low_mark_ = call ? mark : 0; // nothing is below 0
    on_low_ = std::move(call);
}

} // namespace ekey
