// One connection of a USB/IP client: lists and imports devices, then carries the URBs of the one imported.
// Bytes in, bytes out.
#pragma once

#include <deque>
#include <string_view>
#include <vector>

#include "tests/softkey/usb_key.h"
#include "tests/softkey/usbip.h"

namespace ekey::softkey {

class UsbipSession;

// Where a device is plugged in.
class UsbipPort {
  public:
    virtual usbip::DeviceEntry entry() const = 0;
    virtual UsbKey& key() = 0;
    // A host is there from now on; it ends the session by detach().
    virtual void on_imported(UsbipSession& session) = 0;
    virtual void on_configuration() = 0; // set, or left
    virtual void on_crashed() = 0;
    virtual void on_dtr(bool) {} // raised or dropped
    virtual void on_bulk_out(ByteView bytes) = 0;
    virtual void on_read_waits() = 0; // answer_read() will take bytes

  protected:
    ~UsbipPort() = default;
};

class UsbipPorts {
  public:
    virtual std::vector<usbip::DeviceEntry> free_devices() = 0;
    virtual UsbipPort* find(std::string_view busid) = 0; // null: no such device, or another host has it

  protected:
    ~UsbipPorts() = default;
};

class UsbipSession {
  public:
    // `ports` must outlive the session; the port that was imported must outlive it or call detach().
    explicit UsbipSession(UsbipPorts& ports) : ports_(ports) {}

    // Bytes from the client. An error is the client's fault, and the end of its connection. Calls the port,
    // which may call back.
    Result<void> receive(ByteView bytes);
    // The device is gone: nothing is answered any more.
    void detach();
    bool ended() const { return ended_; }

    // The first bytes go out as the answer to the oldest bulk read; returns how many, 0 while none waits.
    // Every answer ends its transfer, as a short packet does.
    std::size_t answer_read(ByteView bytes);
    bool read_waits() const { return !muted_ && !reads_.empty(); }
    // While false, what the host writes waits, and so does its answer.
    void accept_writes(bool accept);
    // No bulk transfer is answered, either way, until it is taken back.
    void mute(bool on);
    // Halts, as UsbKey::stall_reads() was told, the reads that wait.
    void stall_waiting();

    ByteView pending_output() const { return output_; }
    void consume_output(std::size_t count);

  private:
    // A host has at most a few URBs in flight at a time. The bound keeps one that only asks from growing us.
    static constexpr std::size_t waiting_limit = 256;
    static constexpr std::size_t waiting_data_limit = 2 * usbip::transfer_limit;

    struct Write {
        usbip::Submit submit;
        std::vector<Byte> data;
    };

    Result<std::size_t> take_operation(ByteView bytes); // taken; 0: more is needed
    Result<std::size_t> take_request(ByteView bytes);
    Result<void> submit(const usbip::Submit& submit, ByteView data);
    void control(const usbip::Submit& submit, ByteView data);
    void unlink(const usbip::Unlink& unlink);
    void stall_halted();
    void take_writes();

    UsbipPorts& ports_;
    UsbipPort* port_ = nullptr;
    std::uint32_t device_ = 0;
    bool ended_ = false, accepts_writes_ = true, taking_writes_ = false, muted_ = false;
    std::vector<Byte> input_, output_;
    std::deque<usbip::Submit> reads_, unanswered_; // bulk IN; what never is answered
    std::deque<Write> writes_;
    std::size_t writes_size_ = 0;
};

} // namespace ekey::softkey
