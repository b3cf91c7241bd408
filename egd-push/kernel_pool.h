// The Linux kernel's random pool, as a place to push bytes to. See random(4).
#pragma once

#include <memory>
#include <optional>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/secret.h"
#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey {

class KernelPool {
  public:
    // The longest run of bytes that one mix() or add() takes.
    static constexpr std::size_t longest = 4096;

    // What became of the bytes. mixed: this process may not give credit (CAP_SYS_ADMIN), so they went in
    // without.
    enum class Added { credited, mixed };

    KernelPool() = default;
    KernelPool(const KernelPool&) = delete;
    KernelPool& operator=(const KernelPool&) = delete;
    virtual ~KernelPool() = default;

    // Mixes 0..longest bytes in without credit; needs no privilege.
    virtual Result<void> mix(ByteView bytes) = 0;
    // Mixes 1..longest bytes in and credits `bits` of entropy, never more than 8 a byte (more is cut).
    virtual Result<Added> add(ByteView bytes, unsigned bits) = 0;
    // Makes what was mixed in take effect now instead of at the kernel's next reseed. That a pool is not
    // ready yet, that this process may not, or that the kernel is too old to know the call is no error.
    virtual Result<void> reseed() = 0;

    virtual bool ready() const = 0; // the kernel's generator is seeded: getrandom() does not wait

    // In bits, from /proc/sys/kernel/random; nothing when it cannot be read.
    virtual std::optional<unsigned> pool_size() const = 0;
    virtual std::optional<unsigned> entropy_available() const = 0;

    // A descriptor that becomes writable whenever the pool wants more, or -1 where the kernel does not say
    // so: since Linux 5.18 (and stable kernels with that change, which their pool size of 256 bits gives
    // away) POLLOUT on /dev/random ends for ever with the first seeding, so that waiting for it would wait
    // for ever.
    virtual int need_fd() const = 0;
};

class LinuxKernelPool final : public KernelPool {
  public:
    // As ioctl(2); tests hand in their own.
    using Control = int (*)(int fd, unsigned long request, void* argument);

    // Errors: `device` cannot be opened for writing.
    static Result<std::unique_ptr<KernelPool>> open(const char* device = "/dev/random");

    LinuxKernelPool(Fd device, Control control, std::string proc = "/proc/sys/kernel/random/");

    Result<void> mix(ByteView bytes) override;
    Result<Added> add(ByteView bytes, unsigned bits) override;
    Result<void> reseed() override;
    bool ready() const override;
    std::optional<unsigned> pool_size() const override;
    std::optional<unsigned> entropy_available() const override;
    int need_fd() const override;

  private:
    std::optional<unsigned> read_number(const char* name) const;

    Fd device_;
    Control control_;
    std::string proc_;
    SecretBytes request_; // room for one RNDADDENTROPY
    bool said_no_credit_ = false, said_no_reseed_ = false;
};

// One push, by the same rules for the guest tool and for the daemon's sink: the time of arrival (mixed in
// without credit, since an observer of the wire knows it only roughly), then the bytes, then a reseed.
// Returns the bits that were credited.
Result<unsigned> push(KernelPool& pool, ByteView bytes, unsigned bits);

// Bits a byte that are credited where the owner does not say and the path is trusted. A good server's bytes
// carry 8; we count half, since no one here can check that. A push of 64 bytes is then counted as 256 bits,
// which is what a kernel's generator needs to be ready (POOL_READY_BITS, drivers/char/random.c).
constexpr unsigned default_credit = 4;
constexpr std::size_t default_push = 64; // bytes

} // namespace ekey
