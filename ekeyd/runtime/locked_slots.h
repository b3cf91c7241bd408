// Locked memory for many small objects of one type: an object of its own costs four pages (secret.h), and
// there may be thousands.
#pragma once

#include <memory>
#include <vector>

#include "ekeyd/runtime/secret.h"

namespace ekey {

template <class T>
class LockedSlots {
  public:
    LockedSlots() = default;
    LockedSlots(const LockedSlots&) = delete;
    LockedSlots& operator=(const LockedSlots&) = delete;

    struct Free {
        LockedSlots* slots;
        void operator()(T* object) const {
            object->~T();
            wipe({reinterpret_cast<Byte*>(object), sizeof(T)});
            slots->free_.push_back(reinterpret_cast<Byte*>(object));
        }
    };
    // Goes back to its slots when it is destroyed, which must outlive it.
    using Owned = std::unique_ptr<T, Free>;

    // Throws std::runtime_error when no more memory may be locked.
    template <class... Args>
    Owned make(Args&&... args) {
        if (free_.empty()) {
            add_block();
        }
        Byte* const place = free_.back();
        Owned made(new (place) T(std::forward<Args>(args)...), Free{this});
        free_.pop_back();
        return made;
    }

    std::size_t in_use() const { return blocks_.size() * a_block - free_.size(); }

  private:
    static constexpr std::size_t a_block = 32;
    static_assert(sizeof(T) % alignof(T) == 0); // as make_locked()

    void add_block() {
        blocks_.reserve(blocks_.size() + 1);
        free_.reserve((blocks_.size() + 1) * a_block); // so that giving back never fails
        blocks_.emplace_back(a_block * sizeof(T));
        for (std::size_t i = 0; i < a_block; ++i) {
            free_.push_back(blocks_.back().data() + i * sizeof(T));
        }
    }

    std::vector<SecretBytes> blocks_;
    std::vector<Byte*> free_;
};

} // namespace ekey
