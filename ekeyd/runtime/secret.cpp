#include "ekeyd/runtime/secret.h"

#include <cerrno>
#include <cstdlib>
#include <string>

#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>

#ifndef GRND_INSECURE
#define GRND_INSECURE 0x0004 // Linux 5.6: answers even before the pool is seeded
#endif

namespace ekey {

namespace {

// libsodium's own generator waits until the kernel's pool is seeded. A program that is to seed it would wait
// for itself. What is drawn here is nonces and jitter; long-term keys are made with getrandom() waiting.
void random_bytes(void* const buffer, const std::size_t size) {
    Byte* out = static_cast<Byte*>(buffer);
    std::size_t done = 0;
    unsigned flags = GRND_INSECURE;
    while (done < size) {
        const ssize_t got = getrandom(out + done, size - done, flags);
        if (got > 0) {
            done += static_cast<std::size_t>(got);
        } else if (errno == EINVAL && flags != 0) {
            flags = 0; // a kernel before 5.6
        } else if (errno != EINTR) {
            std::abort(); // getrandom exists since Linux 3.17 and cannot fail otherwise
        }
    }
}

std::uint32_t random_word() {
    std::uint32_t word = 0;
    random_bytes(&word, sizeof word);
    return word;
}

const char* random_name() {
    return "getrandom";
}

randombytes_implementation implementation = {random_name, random_word,  nullptr,
                                             nullptr,     random_bytes, nullptr};

[[noreturn]] void refuse(std::size_t size) {
    throw std::runtime_error(
        "cannot lock " + std::to_string(size) +
        " bytes of memory for secrets: raise the memlock limit (ulimit -l, or LimitMEMLOCK= "
        "in the unit)");
}

} // namespace

void init_secrets() {
    randombytes_set_implementation(&implementation);
    if (sodium_init() < 0) {
        throw std::runtime_error("libsodium cannot start");
    }
}

namespace detail {
void* allocate_locked(std::size_t size) {
    void* memory = sodium_malloc(size);
    if (memory == nullptr) {
        refuse(size);
    }
    // sodium_malloc tolerates a failed lock; we do not.
    if (sodium_mlock(memory, size) != 0) {
        sodium_free(memory);
        refuse(size);
    }
    sodium_memzero(memory, size);
    return memory;
}
} // namespace detail

SecretBytes::SecretBytes(std::size_t size)
    : data_(static_cast<Byte*>(detail::allocate_locked(size))), size_(size) {}

void forbid_core_dumps() {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
}

} // namespace ekey
