#include "tests/softkey/usb_key.h"

#include <algorithm>
#include <string_view>

namespace ekey::softkey {

namespace {

// bmRequestType
constexpr Byte to_device = 0x00, to_interface = 0x01, to_endpoint = 0x02, from_device = 0x80,
               from_interface = 0x81, from_endpoint = 0x82, class_to_interface = 0x21,
               class_from_interface = 0xa1;
// bRequest, USB 2.0 table 9-4
constexpr Byte get_status = 0, clear_feature = 1, set_feature = 3, set_address = 5, get_descriptor = 6,
               get_configuration = 8, set_configuration = 9, get_interface = 10, set_interface = 11;
// bRequest, PSTN 1.2 table 13
constexpr Byte set_line_coding = 0x20, get_line_coding = 0x21, set_control_line_state = 0x22;
constexpr Byte device_type = 1, configuration_type = 2, string_type = 3;

constexpr Byte low(unsigned value) {
    return static_cast<Byte>(value);
}
constexpr Byte high(unsigned value) {
    return static_cast<Byte>(value >> 8);
}

std::vector<Byte> device_descriptor(const UsbPersonality& p, bool has_serial) {
    return {
        18,
        device_type,
        0x00,
        0x02, // USB 2.0; full speed only
        2,
        0,
        0,  // a communication device
        64, // bytes in a packet of endpoint 0
        low(p.vendor),
        high(p.vendor),
        low(p.product),
        high(p.product),
        low(p.release),
        high(p.release),
        1,
        2,
        low(has_serial ? 3 : 0), // strings: manufacturer, product, serial number
        1,
    };
}

std::vector<Byte> configuration_descriptor(const UsbPersonality& p) {
    return {
        9,
        configuration_type,
        67,
        0,
        2,
        1,
        0,
        0x80,
        50, // two interfaces, from the bus, 100 mA
        9,
        4,
        0,
        0,
        1,
        2,
        2,
        1,
        0, // interface 0: control, abstract control model
        5,
        0x24,
        0x00,
        0x10,
        0x01, // CDC header, 1.10
        5,
        0x24,
        0x01,
        0x00,
        1, // call management: none; data on interface 1
        4,
        0x24,
        0x02,
        0x02, // ACM: line coding and state
        5,
        0x24,
        0x06,
        0,
        1, // union: 0 controls 1
        7,
        5,
        low(0x80 | p.notify_in),
        3,
        8,
        0,
        0xff, // interrupt IN
        9,
        4,
        1,
        0,
        2,
        10,
        0,
        0,
        0, // interface 1: data
        7,
        5,
        low(0x80 | p.bulk_in),
        2,
        64,
        0,
        0, // bulk IN
        7,
        5,
        p.bulk_out,
        2,
        64,
        0,
        0, // bulk OUT
    };
}

// 9600 bits a second, one stop bit, no parity, 8 data bits (PSTN 1.2 table 17)
constexpr std::array<Byte, 7> usual_coding{0x80, 0x25, 0, 0, 0, 0, 8};

std::vector<Byte> string_descriptor(std::string_view text) {
    std::vector<Byte> bytes{static_cast<Byte>(2 + 2 * text.size()), string_type};
    for (const char character : text) {
        bytes.insert(bytes.end(), {static_cast<Byte>(character), 0}); // UTF-16, little-endian
    }
    return bytes;
}

const UsbKey::Answer stall{.stall = true, .data = {}};

} // namespace

void UsbKey::reset() {
    configured_ = crashed_ = dtr_ = false;
    halted_.clear();
    line_coding_ = usual_coding;
}

bool UsbKey::has_endpoint(Byte address) const {
    return address == (0x80 | personality_.bulk_in) || address == (0x80 | personality_.notify_in) ||
           address == personality_.bulk_out;
}

bool UsbKey::may_read() {
    const Byte address = 0x80 | personality_.bulk_in;
    if (stalls_left_ > 0 && !halted(address)) {
        --stalls_left_;
        halted_.insert(address);
    }
    return !halted(address);
}

std::optional<UsbKey::Answer> UsbKey::control(const std::array<Byte, 8>& setup, ByteView data) {
    const auto word = [&](std::size_t at) {
        return static_cast<std::uint16_t>(setup[at] | setup[at + 1] << 8);
    };
    const Byte type = setup[0], request = setup[1];
    const std::uint16_t value = word(2), index = word(4), length = word(6);
    if (type == class_to_interface && request == set_control_line_state) {
        crashed_ = crashed_ || personality_.crashes_at_line_state;
        dtr_ = (value & 1) != 0; // PSTN 1.2, table 18
        if (!crashed_) {
            return Answer{};
        }
    }
    if (crashed_) {
        return std::nullopt;
    }
    Answer answer = stall;
    if (type == class_to_interface && request == set_line_coding && data.size() == line_coding_.size()) {
        std::ranges::copy(data, line_coding_.begin());
        return Answer{};
    }
    if (type == class_from_interface && request == get_line_coding) {
        answer = {false, {line_coding_.begin(), line_coding_.end()}};
    } else if ((type & 0x60) == 0) {
        answer = standard(type, request, value, index);
    }
    answer.data.resize(std::min<std::size_t>(answer.data.size(), length));
    return answer;
}

UsbKey::Answer UsbKey::standard(Byte type, Byte request, std::uint16_t value, std::uint16_t index) {
    const Byte endpoint = static_cast<Byte>(index);
    if (request == get_status) {
        const bool exists = type == from_device || (type == from_interface && index < 2) ||
                            (type == from_endpoint && (has_endpoint(endpoint) || (endpoint & 0x7f) == 0));
        return exists ? Answer{false, {static_cast<Byte>(type == from_endpoint && halted(endpoint)), 0}}
                      : stall;
    }
    if (type == to_endpoint && value == 0 && has_endpoint(endpoint)) { // feature 0: ENDPOINT_HALT
        if (request == clear_feature) {
            halted_.erase(endpoint);
            return {};
        }
        if (request == set_feature) {
            halted_.insert(endpoint);
            return {};
        }
    }
    switch (type << 8 | request) {
    case from_device << 8 | get_descriptor: return descriptor(value);
    case to_device << 8 | set_address: return {}; // the bus does that
    case from_device << 8 | get_configuration: return {false, {static_cast<Byte>(configured_)}};
    case to_device << 8 | set_configuration:
        if (value > 1) {
            return stall;
        }
        configured_ = value == 1;
        halted_.clear(); // USB 2.0, 9.4.5
        return {};
    case from_interface << 8 | get_interface: return configured_ && index < 2 ? Answer{false, {0}} : stall;
    case to_interface << 8 | set_interface: return configured_ && index < 2 && value == 0 ? Answer{} : stall;
    default: return stall;
    }
}

UsbKey::Answer UsbKey::descriptor(std::uint16_t value) const {
    switch (value) {
    case device_type << 8: return {false, device_descriptor(personality_, !serial_.empty())};
    case configuration_type << 8: return {false, configuration_descriptor(personality_)};
    case string_type << 8: return {false, {4, string_type, 0x09, 0x04}}; // English (United States)
    case string_type << 8 | 1: return {false, string_descriptor(personality_.manufacturer)};
    case string_type << 8 | 2: return {false, string_descriptor(personality_.called)};
    case string_type << 8 | 3: return serial_.empty() ? stall : Answer{false, string_descriptor(serial_)};
    default:
        return stall; // among them the qualifier: what has one speed only is to refuse it (USB 2.0, 9.6.2)
    }
}

} // namespace ekey::softkey
