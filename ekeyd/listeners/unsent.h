// Answers, or their rest, that a full socket did not take yet. They have left the pool and belong to one
// client, so they are kept in locked memory until it takes them (promises 4 and 6).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ekeyd/runtime/secret.h"

namespace ekey {

class Unsent {
  public:
    // As much as one send() is given at most: eight of the longest answers.
    static constexpr std::size_t slot_size = 2048;
    // 1 MiB of locked memory at most (the usual limit is 8 MiB). A socket that takes no 2 KiB belongs to a
    // client that has left some 200 KiB unread; when so many do that, the next one is closed instead.
    static constexpr std::size_t max_slots = 512;

    using Slot = std::uint16_t;

    // Copies 1..slot_size bytes to a slot of its own; nothing when all are in use or no memory can be locked.
    std::optional<Slot> keep(ByteView bytes);
    // What is left in a slot that is in use; never empty.
    ByteView held(Slot slot) const;
    // Erases the first `sent` bytes. True when none are left: the slot is then free.
    bool consume(Slot slot, std::size_t sent);
    void drop(Slot slot); // erases the rest and frees the slot

    std::size_t in_use() const { return extents_.size() - free_.size(); }

  private:
    // Memory is locked as it is needed, this many slots at a time.
    static constexpr std::size_t slots_a_block = 16;
    struct Extent {
        std::uint16_t first = 0, end = 0;
    };
    Byte* memory(Slot slot);
    const Byte* memory(Slot slot) const;

    std::vector<SecretBytes> blocks_;
    std::vector<Extent> extents_; // one a slot
    std::vector<Slot> free_;
};

} // namespace ekey
