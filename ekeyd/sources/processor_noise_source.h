// Noise made by the processor itself: timing that nobody predicts. For machines without a dongle. The
// generator works on a thread of its own, because it computes for a while.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/source.h"

namespace ekey {

// Called on the thread alone.
class ProcessorNoise {
  public:
    ProcessorNoise() = default;
    ProcessorNoise(const ProcessorNoise&) = delete;
    ProcessorNoise& operator=(const ProcessorNoise&) = delete;
    virtual ~ProcessorNoise() = default;
    virtual Result<void> fill(ByteSpan out) = 0; // all of it, or why not
};

class ProcessorNoiseSource final : public Source {
  public:
    // Makes the generator, or says why this machine has none. Called on the thread.
    using Maker = std::function<Result<std::unique_ptr<ProcessorNoise>>()>;

    // `path` names it in lists: "havege:".
    ProcessorNoiseSource(Loop& loop, std::string path, Maker maker, double min_entropy);
    ~ProcessorNoiseSource() override;

    Result<void> start(SourceOwner& owner, bool must_open) override;
    void pause(bool on) override;
    void reset() override;
    SourceStatus status() const override;
    void add_statistics(Statistics& out) const override;
    double default_min_entropy() const override { return min_entropy_; }

  private:
    struct Shared;
    void begin();
    void end();
    void on_block();

    std::string path_;
    Maker maker_;
    double min_entropy_;
    SourceOwner* owner_ = nullptr;
    std::shared_ptr<Shared> shared_; // null before the start
    std::thread thread_;
    AsyncWatcher block_ready_;
    Timer retry_; // after the system refused a thread or locked memory
    bool paused_ = false;
    std::string trouble_;
    std::uint64_t bytes_made_ = 0;
};

} // namespace ekey
