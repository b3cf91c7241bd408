// What the file and the FIFO share: one block at a time, taken only when it can be written, kept until the
// last byte of it is; a pace; and trying again when it fails.
#pragma once

#include "ekeyd/runtime/handle.h"
#include "ekeyd/sinks/sink.h"

namespace ekey {

class StreamSink : public Sink, private Taker {
  public:
    // A short block, so that those behind it in the queue wait no longer than for 64 bytes.
    static constexpr std::size_t block_size = 64;
    // Without a rate, at most one block in this time while the pool is no more than half full: the pool fills
    // up for clients, and the sink has what is over. 640 bytes a second: a fifth of what an Entropy Key
    // gives.
    static constexpr Duration rest_for_clients = std::chrono::milliseconds(100);

    const std::string& address() const final { return address_; }
    std::uint64_t bytes_written() const final { return bytes_written_; }
    std::string state() const final { return state_; }

  protected:
    // rate: bytes a second, 0 for no limit of its own.
    StreamSink(Loop& loop, Pool& pool, std::string address, std::uint64_t rate);
    ~StreamSink() override = default;

    void start() { open_and_go_on(); }

  private:
    // Opens for writing, non-blocking. The error is the sink's state until the next try.
    virtual Result<Fd> open() = 0;
    virtual bool waits_for_room() const = 0;             // a descriptor that poll() knows about
    virtual bool still_there(int) const { return true; } // false: open anew before the next block
    virtual Duration longest_retry() const = 0;

    std::size_t wanted() const final { return block_size; }
    bool serve(Pool& pool) final;

    bool reopen(); // false: failed() has been told
    void open_and_go_on();
    void go_on();         // writes what is left, rests, or joins the queue
    bool write_pending(); // true when nothing is left
    void failed(std::string why);
    Duration rest() const;
    void on_room(int events);
    void join();

    Pool& pool_;
    std::string address_;
    std::uint64_t rate_;
    Fd fd_;
    SecretBytes block_;
    std::size_t pending_ = 0; // bytes at the end of block_ that are still to be written
    Timer retry_, pace_;
    IoWatcher room_;
    Duration next_retry_{};
    Time next_block_{};
    std::uint64_t bytes_written_ = 0;
    std::string state_ = "ok";
};

} // namespace ekey
