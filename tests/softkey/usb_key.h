// The USB side of a dongle: descriptors and control requests. No bus: requests come in, answers go out.
// Source: USB 2.0, chapter 9; CDC 1.1, 5.2.3; PSTN 1.2, 5.3 and 6.3. What differs from dongle to dongle is in
// usb_personality.h; the rest, where no document tells, is a plain CDC-ACM device.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/bytes.h"
#include "tests/softkey/usb_personality.h"

namespace ekey::softkey {

class UsbKey {
  public:
    // `serial`: the third string descriptor, ASCII; empty: there is none.
    explicit UsbKey(std::string serial, const UsbPersonality& personality = entropy_key_usb)
        : serial_(std::move(serial)), personality_(personality) {}
    const UsbPersonality& personality() const { return personality_; }

    void reset(); // the bus is reset, or the device plugged in: not configured, nothing halted

    // What a control transfer ends in. Neither data nor stall: an empty success.
    struct Answer {
        bool stall = false;
        std::vector<Byte> data; // at most wLength
    };
    // `setup`: the eight bytes of the setup stage; `data`: those of an OUT data stage. Empty: no answer,
    // ever.
    std::optional<Answer> control(const std::array<Byte, 8>& setup, ByteView data);

    bool configured() const { return configured_; }
    // SET_CONTROL_LINE_STATE crashes the firmware of a true key until it is unplugged.
    bool crashed() const { return crashed_; }
    // `address`: with the direction bit. A halted endpoint stalls until the host clears it.
    bool halted(Byte address) const { return halted_.contains(address); }
    bool has_endpoint(Byte address) const;
    // The host has raised DTR.
    bool dtr() const { return dtr_; }

    // The next bulk read halts its endpoint, and when that is cleared the next one, so many times in all.
    // What is left goes on after a reset.
    void stall_reads(std::uint64_t times) { stalls_left_ = times; }
    // A bulk read is to be answered: false when it meets a stall.
    bool may_read();

  private:
    Answer standard(Byte type, Byte request, std::uint16_t value, std::uint16_t index);
    Answer descriptor(std::uint16_t value) const;

    std::string serial_;
    UsbPersonality personality_;
    bool configured_ = false, crashed_ = false, dtr_ = false;
    std::uint64_t stalls_left_ = 0;
    std::set<Byte> halted_;
    std::array<Byte, 7> line_coding_{};
};

} // namespace ekey::softkey
