// A dongle that just sends noise: it is opened, perhaps told to start, and read.
#pragma once

#include <memory>
#include <string>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/link.h"
#include "ekeyd/sources/source.h"

namespace ekey {

// What makes one kind differ from another.
struct RawTraits {
    double min_entropy;        // bits a byte; who sets it says why
    std::string start = {};    // written after opening
    std::size_t discarded = 0; // first bytes that are thrown away: what the device gathered before it settled
    bool pauses = true;        // not read while the pool is full
};

class RawSource final : public Source, private LinkOwner {
  public:
    // `path` names it in lists and logs; `serial` may be empty.
    RawSource(Loop& loop, std::string path, std::string serial, LinkOpener open, RawTraits traits);

    Result<void> start(SourceOwner& owner, bool must_open) override;
    void pause(bool on) override;
    void reset() override;
    SourceStatus status() const override;
    void add_statistics(Statistics& out) const override;
    double default_min_entropy() const override { return traits_.min_entropy; }

  private:
    void on_bytes(ByteView bytes) override;
    void on_writable() override;
    void on_lost(const std::string& why) override;
    void lost(std::string why);
    Result<void> open();
    void on_retry();
    void on_quiet();

    std::string path_, serial_;
    LinkOpener open_;
    RawTraits traits_;
    SourceOwner* owner_ = nullptr;
    std::unique_ptr<Link> link_, lost_link_; // a lost link lives until the loop is out of its callback
    Timer retry_, quiet_;
    Duration retry_after_;
    std::string trouble_;  // for `list`: of the link that was lost, until another one delivers
    std::string to_write_; // of traits_.start
    std::size_t to_discard_ = 0;
    bool paused_ = false;
    Time opened_{};
    std::uint64_t bytes_read_ = 0, bytes_before_ = 0; // since it was opened; in the sessions before
    std::uint64_t sessions_ = 0;
    std::uint64_t bytes_at_tick_ = 0;
};

} // namespace ekey
