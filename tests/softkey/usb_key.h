// The USB side of an Entropy Key: descriptors and control requests. No bus: requests come in, answers go out.
// Source: USB 2.0, chapter 9; CDC 1.1, 5.2.3; PSTN 1.2, 5.3 and 6.3. Ids, interfaces and bulk endpoints are
// those of the UDEKEY01; the rest, where no document tells, is a plain CDC-ACM device.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/bytes.h"

namespace ekey::softkey {

class UsbKey {
  public:
    static constexpr std::uint16_t vendor = 0x20df, product = 0x0001, release = 0x0100;
    // Endpoint numbers, without the direction bit.
    static constexpr Byte bulk_in = 1, notify_in = 2, bulk_out = 3;
    static constexpr std::size_t packet_size = 64;

    // `serial`: the 16 characters, as the third string descriptor.
    explicit UsbKey(std::string serial) : serial_(std::move(serial)) {}

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
    static bool has_endpoint(Byte address);

  private:
    Answer standard(Byte type, Byte request, std::uint16_t value, std::uint16_t index);
    Answer descriptor(std::uint16_t value) const;

    std::string serial_;
    bool configured_ = false, crashed_ = false;
    std::set<Byte> halted_;
    std::array<Byte, 7> line_coding_{};
};

} // namespace ekey::softkey
