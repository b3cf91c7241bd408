// Memory for secrets: locked (never swapped), left out of core dumps, between guard pages, wiped when freed.
// Promise 6. Each object costs at least four pages, so it is for a few long-lived objects, not one a client.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include <sodium.h>

#include "protocol/bytes.h"

namespace ekey {

// Must be called first thing in main: chooses a random source that does not block on an unseeded kernel (a
// daemon that is to seed the kernel must not wait for it), then initialises libsodium. Throws
// std::runtime_error when libsodium cannot start.
void init_secrets();

// A run of locked bytes. Throws std::runtime_error (with the limit to raise) when the kernel refuses to lock.
class SecretBytes {
  public:
    explicit SecretBytes(std::size_t size);
    ~SecretBytes() { sodium_free(data_); }
    SecretBytes(SecretBytes&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    SecretBytes& operator=(SecretBytes&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;

    std::size_t size() const { return size_; }
    Byte* data() { return data_; }
    const Byte* data() const { return data_; }
    ByteSpan span() { return {data_, size_}; }
    ByteView span() const { return {data_, size_}; }

  private:
    Byte* data_;
    std::size_t size_;
};

namespace detail {
void* allocate_locked(std::size_t size); // zeroed; throws std::runtime_error
template <class T>
struct LockedDelete {
    void operator()(T* object) const {
        object->~T();
        sodium_free(object); // wipes
    }
};
} // namespace detail

// A T that lives in locked memory.
template <class T>
using Locked = std::unique_ptr<T, detail::LockedDelete<T>>;

template <class T, class... Args>
Locked<T> make_locked(Args&&... args) {
    // sodium_malloc places the end of the object at a page's end: only sizes that are a multiple of the
    // alignment keep T aligned.
    static_assert(sizeof(T) % alignof(T) == 0);
    void* memory = detail::allocate_locked(sizeof(T));
    try {
        return Locked<T>(new (memory) T(std::forward<Args>(args)...));
    } catch (...) {
        sodium_free(memory);
        throw;
    }
}

// Turns core dumps and ptrace by others off for this process. Promise 6.
void forbid_core_dumps();

} // namespace ekey
