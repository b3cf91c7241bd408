// Writes to a FIFO as its reader takes. Created 0600 when it is missing; waits for a reader, and for the
// next.
#pragma once

#include "ekeyd/sinks/stream_sink.h"

namespace ekey {

class FifoSink final : public StreamSink {
  public:
    // Errors: no path, a parameter other than rate=BYTES_PER_S, or a path that is no FIFO, cannot be made or
    // may not be written. That nobody reads is no error but a state.
    static Result<std::unique_ptr<Sink>> make(Loop& loop, Pool& pool, const config::Address& address);

  private:
    FifoSink(Loop& loop, Pool& pool, const config::Address& address, std::uint64_t rate);
    Result<void> prepare() const;
    Result<Fd> open() override;
    bool waits_for_room() const override { return true; }
    // There is no event for "a reader came": asked for twice a second.
    Duration longest_retry() const override { return std::chrono::milliseconds(500); }

    std::string path_;
};

} // namespace ekey
