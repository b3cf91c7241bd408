// Appends to a regular file. Created 0600 when it is missing; made anew when someone removes or moves it
// away.
#pragma once

#include "ekeyd/sinks/stream_sink.h"

namespace ekey {

class FileSink final : public StreamSink {
  public:
    // Errors: no path, a parameter other than rate=BYTES_PER_S, or a path that cannot be opened now or is no
    // regular file. A full disk is no error but a state.
    static Result<std::unique_ptr<Sink>> make(Loop& loop, Pool& pool, const config::Address& address);

  private:
    FileSink(Loop& loop, Pool& pool, const config::Address& address, std::uint64_t rate);
    Result<Fd> open() override;
    bool waits_for_room() const override { return false; }
    bool still_there(int fd) const override;
    Duration longest_retry() const override { return std::chrono::seconds(60); }

    std::string path_;
    bool warned_ = false;
};

} // namespace ekey
