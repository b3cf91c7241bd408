// Pushes to this host's kernel pool: at once when the first bytes are there, then on a timer, and by need on
// kernels that still say when they need.
#pragma once

#include "egd-push/kernel_pool.h"
#include "ekeyd/sinks/sink.h"

namespace ekey {

class KernelSink final : public Sink, private Taker {
  public:
    struct Options {
        double interval = 60;             // seconds; the kernel's own reseed interval
        std::size_t bytes = default_push; // a push, shortest..longest
        unsigned credit = default_credit; // bits a byte, 0 to 8
    };
    // A push has at least 256 bits: fed in smaller pieces, each could be guessed on its own.
    static constexpr std::size_t shortest = 32, longest = 255;

    // Parameters interval=1..86400, bytes=32..255, credit=0..8. Errors name what is wrong in the address.
    static Result<Options> parse(const config::Address& address);

    KernelSink(Loop& loop, Pool& pool, std::string address, Options options,
               std::unique_ptr<KernelPool> kernel);

    const std::string& address() const override { return address_; }
    std::uint64_t bytes_written() const override { return bytes_written_; }
    std::string state() const override { return state_; }

  private:
    std::size_t wanted() const override { return options_.bytes; }
    bool serve(Pool& pool) override;

    void on_due();
    void on_need(int events);

    Pool& pool_;
    std::string address_;
    Options options_;
    std::unique_ptr<KernelPool> kernel_;
    SecretBytes block_;
    Timer due_;
    IoWatcher need_;
    Time last_push_{};
    std::uint64_t bytes_written_ = 0;
    std::string state_ = "waiting for the first bytes";
};

} // namespace ekey
