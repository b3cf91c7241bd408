#include "ekeyd/sources/usb/plan.h"

namespace ekey::usb {

namespace {
constexpr std::uint8_t class_request_to_interface = 0x21;
constexpr std::uint8_t set_line_coding_code = 0x20, set_control_line_state_code = 0x22;
} // namespace

ControlRequest set_dtr(bool on) {
    return {class_request_to_interface,
            set_control_line_state_code,
            static_cast<std::uint16_t>(on ? 1 : 0),
            0,
            {},
            {}};
}

ControlRequest set_line_coding(std::uint32_t baud) {
    ControlRequest request{class_request_to_interface, set_line_coding_code, 0, 0, {}, {}};
    for (int shift = 0; shift < 32; shift += 8) {
        request.data.push_back(static_cast<Byte>(baud >> shift));
    }
    const Byte stop_bits_1 = 0, parity_none = 0, data_bits = 8;
    request.data.insert(request.data.end(), {stop_bits_1, parity_none, data_bits});
    return request;
}

} // namespace ekey::usb
