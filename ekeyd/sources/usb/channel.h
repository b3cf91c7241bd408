// The traffic with one opened device: reads in flight, writes, stalls, and an orderly end. It outlives its
// link until its last transfer has ended (Backend::bury).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/runtime/secret.h"
#include "ekeyd/sources/link.h"
#include "ekeyd/sources/usb/backend.h"
#include "ekeyd/sources/usb/plan.h"

namespace ekey::usb {

class Channel final : private TransferOwner {
  public:
    Channel(Loop& loop, std::unique_ptr<OpenDevice> device, Plan plan, LinkOwner& owner);
    ~Channel(); // quiet() holds; gives the interfaces back

    // Claims and begins. After an error: shut() it as well.
    Result<void> open();
    std::size_t write(ByteView bytes); // see Link::write
    void pause(bool on);
    std::string condition() const; // "Stalled", ... or empty: all is well

    // Nothing more is told to the owner; what is in flight is cancelled.
    void shut();
    bool quiet() const; // nothing in flight, and we are not inside a callback of it

  private:
    enum class Phase { opening, draining, running, ended };
    struct Read {
        ByteSpan buffer;
        std::unique_ptr<Transfer> transfer;
    };
    // A direction and its stall.
    struct Pipe {
        std::uint8_t address = 0;
        bool halted = false;   // no transfer begins until the stall is cleared
        bool clearing = false; // a clear_halt is under way
        unsigned troubles = 0; // failures in a row; a stall is one, however many transfers it ends
        bool stalls = false;   // the last of them was a stall
    };

    class Inside; // a callback

    Result<void> find_endpoints();
    Result<void> claim();
    void next_request();
    void begin_draining();
    void on_timer();

    void on_transfer(Transfer& transfer, End end, std::size_t bytes) override;
    void on_request_end(End end);
    void on_read_end(Read& read, End end, std::size_t bytes);
    void on_write_end(End end, std::size_t bytes);

    void submit_reads();
    void submit_write();
    bool trouble(Pipe& pipe, End end);
    void clear_if_idle(Pipe& pipe);
    void resume();
    // Told to the owner from the loop: it may be calling us.
    void lost(std::string why, std::string_view condition = {});
    void cancel_all();
    bool alive() const { return phase_ != Phase::ended; }

    std::unique_ptr<OpenDevice> device_;
    Plan plan_;
    LinkOwner* owner_;
    Phase phase_ = Phase::opening;
    std::vector<std::uint8_t> interfaces_, claimed_;
    std::uint16_t packet_size_ = 0;

    Pipe in_, out_;
    SecretBytes memory_; // the buffers of reads: raw noise
    std::vector<Read> reads_;
    std::unique_ptr<Transfer> request_, write_;
    std::size_t next_request_ = 0;
    std::vector<Byte> outgoing_; // being written
    bool refused_ = false;       // a write was taken in part only: on_writable() is owed
    bool paused_ = false;
    unsigned inside_ = 0;
    Time drain_end_{};
    std::string lost_why_, lost_condition_;
    // opening: the pause between requests; draining: quiet; running: a pause after trouble; ended: tells the
    // owner
    Timer timer_;
};

} // namespace ekey::usb
