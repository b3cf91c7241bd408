// A file that delivers raw noise: a character device such as /dev/hwrng, or a FIFO.
#pragma once

#include <memory>
#include <string>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/runtime/secret.h"
#include "ekeyd/sources/source.h"

namespace ekey {

// Reads on a thread of its own, one block ahead: /dev/hwrng cannot be polled, and a read of it may wait for a
// slow driver even in non-blocking mode (the kernel's reader holds the same lock). Nothing on the loop may
// wait.
class Device final : public Source {
  public:
    Device(Loop& loop, std::string path);
    ~Device() override;

    Result<void> start(SourceOwner& owner, bool must_open) override;
    void pause(bool on) override;
    void reset() override;
    SourceStatus status() const override;
    void add_statistics(Statistics& out) const override;

    // The kernel's own drivers claim from about 0.5 to 1 bit a bit for their hwrng devices ("quality" in
    // drivers/char/hw_random); nothing is known of other files. Half of what a perfect device would give.
    double default_min_entropy() const override { return 4.0; }

  private:
    struct Shared; // what the thread and the loop share; outlives whichever goes first
    void on_block();
    void on_retry();
    Result<void> open();
    void lost(const std::string& why, bool try_again);
    void stop_thread();

    std::string path_;
    SourceOwner* owner_ = nullptr;
    std::shared_ptr<Shared> shared_; // null while closed
    AsyncWatcher block_ready_;
    Timer retry_;
    bool paused_ = false;
    std::string trouble_;
    std::uint64_t bytes_read_ = 0;
    Time opened_{};
};

} // namespace ekey
