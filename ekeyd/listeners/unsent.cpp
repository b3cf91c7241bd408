#include "ekeyd/listeners/unsent.h"

#include <cassert>
#include <new>

namespace ekey {

Byte* Unsent::memory(Slot slot) {
    return blocks_[slot / slots_a_block].data() + slot % slots_a_block * slot_size;
}

const Byte* Unsent::memory(Slot slot) const {
    return blocks_[slot / slots_a_block].data() + slot % slots_a_block * slot_size;
}

std::optional<Unsent::Slot> Unsent::keep(ByteView bytes) {
    assert(!bytes.empty() && bytes.size() <= slot_size);
    if (free_.empty()) {
        if (extents_.size() == max_slots) {
            return std::nullopt;
        }
        try {
            blocks_.emplace_back(slots_a_block * slot_size);
        } catch (const std::runtime_error&) {
            return std::nullopt; // no more memory may be locked: the client pays, not the daemon
        }
        for (std::size_t i = 0; i < slots_a_block; ++i) {
            free_.push_back(static_cast<Slot>(extents_.size()));
            extents_.emplace_back();
        }
    }
    const Slot slot = free_.back();
    free_.pop_back();
    std::memcpy(memory(slot), bytes.data(), bytes.size());
    extents_[slot] = {0, static_cast<std::uint16_t>(bytes.size())};
    return slot;
}

ByteView Unsent::held(Slot slot) const {
    const Extent& extent = extents_[slot];
    return {memory(slot) + extent.first, static_cast<std::size_t>(extent.end - extent.first)};
}

bool Unsent::consume(Slot slot, std::size_t sent) {
    Extent& extent = extents_[slot];
    assert(sent <= static_cast<std::size_t>(extent.end - extent.first));
    wipe({memory(slot) + extent.first, sent});
    extent.first = static_cast<std::uint16_t>(extent.first + sent);
    if (extent.first < extent.end) {
        return false;
    }
    free_.push_back(slot);
    return true;
}

void Unsent::drop(Slot slot) {
    consume(slot, held(slot).size());
}

} // namespace ekey
