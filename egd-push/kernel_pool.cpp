#include "egd-push/kernel_pool.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include "ekeyd/runtime/log.h"

#ifndef RNDRESEEDCRNG
#define RNDRESEEDCRNG _IO('R', 0x07) // Linux 4.14
#endif

namespace ekey {

namespace {

constexpr const char* default_device = "/dev/random";
// Since Linux 5.18 the pool is one BLAKE2s state and its size 256 bits; before it was 4,096.
constexpr unsigned modern_pool_size = 256;

int linux_ioctl(int fd, unsigned long request, void* argument) {
    return ioctl(fd, request, argument);
}

std::string reason(int error) {
    return std::strerror(error);
}

} // namespace

Result<std::unique_ptr<KernelPool>> LinuxKernelPool::open(const char* device) {
    Fd fd(::open(device, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    if (!fd) {
        return fail(std::string("cannot open ") + device + " for writing: " + reason(errno));
    }
    return std::make_unique<LinuxKernelPool>(std::move(fd), linux_ioctl);
}

LinuxKernelPool::LinuxKernelPool(Fd device, Control control, std::string proc)
    : device_(std::move(device)), control_(control), proc_(std::move(proc)),
      request_(sizeof(rand_pool_info) + longest) {}

Result<void> LinuxKernelPool::mix(ByteView bytes) {
    assert(bytes.size() <= longest);
    while (!bytes.empty()) {
        const ssize_t written = ::write(device_.get(), bytes.data(), bytes.size());
        if (written > 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        } else if (written == 0 || errno != EINTR) {
            return fail(std::string("cannot write to ") + default_device + ": " + reason(errno));
        }
    }
    return {};
}

Result<KernelPool::Added> LinuxKernelPool::add(ByteView bytes, unsigned bits) {
    assert(!bytes.empty() && bytes.size() <= longest);
    // struct rand_pool_info: the credit in bits, the size in bytes, then the bytes.
    const int header[2] = {static_cast<int>(std::min<std::size_t>(bits, 8 * bytes.size())),
                           static_cast<int>(bytes.size())};
    static_assert(sizeof header == sizeof(rand_pool_info));
    std::memcpy(request_.data(), header, sizeof header);
    std::memcpy(request_.data() + sizeof header, bytes.data(), bytes.size());
    const int outcome = control_(device_.get(), RNDADDENTROPY, request_.data());
    const int error = errno;
    wipe(request_.span());
    if (outcome == 0) {
        return Added::credited;
    }
    if (error != EPERM) {
        return fail("the kernel refuses entropy (RNDADDENTROPY): " + reason(error));
    }
    if (!said_no_credit_) {
        said_no_credit_ = true;
        log::warning(
            "this process lacks CAP_SYS_ADMIN: bytes are mixed into the kernel's pool without credit");
    }
    return mix(bytes).map([] { return Added::mixed; });
}

Result<void> LinuxKernelPool::reseed() {
    if (control_(device_.get(), RNDRESEEDCRNG, nullptr) == 0) {
        return {};
    }
    switch (const int error = errno) {
    case ENODATA: // not ready yet: the bytes count towards that
        return {};
    case EPERM:
    case EINVAL: // before Linux 4.14
    case ENOTTY:
        if (!said_no_reseed_) {
            said_no_reseed_ = true;
            log::info("the kernel takes bytes into use at its own next reseed", {{"reason", reason(error)}});
        }
        return {};
    default: return fail("the kernel refuses to reseed (RNDRESEEDCRNG): " + reason(error));
    }
}

bool LinuxKernelPool::ready() const {
    Byte byte = 0;
    const ssize_t got = getrandom(&byte, sizeof byte, GRND_NONBLOCK);
    return got == 1;
}

std::optional<unsigned> LinuxKernelPool::pool_size() const {
    return read_number("poolsize");
}

std::optional<unsigned> LinuxKernelPool::entropy_available() const {
    return read_number("entropy_avail");
}

int LinuxKernelPool::need_fd() const {
    return pool_size().value_or(modern_pool_size) > modern_pool_size ? device_.get() : -1;
}

std::optional<unsigned> LinuxKernelPool::read_number(const char* name) const {
    const Fd fd(::open((proc_ + name).c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 16> text; // a 32-bit number and a newline
    const ssize_t got = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
    unsigned value = 0;
    if (got <= 0 || std::from_chars(text.data(), text.data() + got, value).ec != std::errc()) {
        return std::nullopt;
    }
    return value;
}

Result<unsigned> push(KernelPool& pool, ByteView bytes, unsigned bits) {
    std::array<timespec, 2> arrival{};
    clock_gettime(CLOCK_REALTIME, &arrival[0]);
    clock_gettime(CLOCK_MONOTONIC, &arrival[1]);
    if (const auto mixed = pool.mix({reinterpret_cast<const Byte*>(arrival.data()), sizeof arrival});
        !mixed) {
        return tl::unexpected(mixed.error());
    }
    const unsigned credit = static_cast<unsigned>(std::min<std::size_t>(bits, 8 * bytes.size()));
    unsigned credited = 0;
    if (credit == 0) {
        if (const auto mixed = pool.mix(bytes); !mixed) {
            return tl::unexpected(mixed.error());
        }
    } else {
        const auto added = pool.add(bytes, credit);
        if (!added) {
            return tl::unexpected(added.error());
        }
        credited = *added == KernelPool::Added::credited ? credit : 0;
    }
    return pool.reseed().map([credited] { return credited; });
}

} // namespace ekey
