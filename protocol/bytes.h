// The few words for bytes and time that every layer shares.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include <sodium/utils.h>

namespace ekey {

using Byte = std::uint8_t;
using ByteView = std::span<const Byte>; // borrowed, never owned
using ByteSpan = std::span<Byte>;       // borrowed, writable

// Monotonic time. Protocol objects never read a clock: they are handed the time.
using Time = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const Byte*>(text.data()), text.size()};
}

inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Overwrites with zeros in a way that the compiler does not remove: the empty statement claims to read the
// memory. Inline, because every frame and every block wipes something of a few words.
inline void wipe(ByteSpan bytes) {
    if (bytes.empty()) { // may be a null pointer, which memset() must not be given
        return;
    }
    std::memset(bytes.data(), 0, bytes.size());
    asm volatile("" : : "r"(bytes.data()) : "memory");
}

// Compares in time that depends on the length alone. Different lengths are unequal.
inline bool equal_constant_time(ByteView a, ByteView b) {
    return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

// N secret bytes that are wiped when they go. Whoever owns a long-lived one keeps it in locked
// memory (ekeyd/runtime/secret.h); on the stack it lives for one computation only.
template <std::size_t N>
class SecretArray {
  public:
    SecretArray() = default;
    explicit SecretArray(std::span<const Byte, N> from) { std::memcpy(bytes_.data(), from.data(), N); }
    SecretArray(const SecretArray&) = default;
    SecretArray& operator=(const SecretArray&) = default;
    ~SecretArray() { wipe(bytes_); }

    static constexpr std::size_t size() { return N; }
    std::span<Byte, N> span() { return bytes_; }
    std::span<const Byte, N> span() const { return bytes_; }
    Byte* data() { return bytes_.data(); }
    const Byte* data() const { return bytes_.data(); }
    bool operator==(const SecretArray& other) const { return equal_constant_time(bytes_, other.bytes_); }

  private:
    std::array<Byte, N> bytes_{};
};

} // namespace ekey
