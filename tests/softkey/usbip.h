// The messages of USB/IP, version 1.1.1: sizes, decoders and encoders. All numbers are big-endian.
// Source: Linux, Documentation/usb/usbip_protocol.rst. Where the text of OP_REP_IMPORT gives bcdDevice a
// wrong offset, the layout is that of struct usbip_usb_device, on which OP_REP_DEVLIST agrees.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey::softkey::usbip {

constexpr std::uint16_t version = 0x0111;
constexpr std::size_t op_header_size = 8;
constexpr std::size_t busid_size = 32;
constexpr std::size_t import_request_size = op_header_size + busid_size;
constexpr std::size_t device_size = 312; // in both replies
constexpr std::size_t import_reply_size = op_header_size + device_size;
constexpr std::size_t urb_header_size = 48;

// What a URB may carry here; from outside it is any 32-bit number. cdc_acm asks for 128 bytes, libusb for
// 16 KiB a piece unless it is told more.
constexpr std::uint32_t transfer_limit = 256 * 1024;

// errno values of Linux on every architecture that matters, as USB/IP sends them.
enum class Status : std::int32_t { ok = 0, stall = -32, unlinked = -104 };

struct InterfaceEntry {
    Byte device_class = 0, subclass = 0, protocol = 0;
};

struct DeviceEntry {
    std::string path, busid; // below 256 and 32 characters
    std::uint32_t bus = 0, number = 0, speed = 0;
    std::uint16_t vendor = 0, product = 0, release = 0;
    Byte device_class = 0, subclass = 0, protocol = 0, configuration = 0, configurations = 0;
    std::vector<InterfaceEntry> interfaces;

    std::uint32_t id() const { return bus << 16 | number; } // in every URB header
};

struct ListRequest {};
struct ImportRequest {
    std::string busid;
};
using Operation = std::variant<ListRequest, ImportRequest>;

// `bytes` may go on. Empty: more is needed. Errors: another version, an unknown operation, a busid without
// end.
Result<std::optional<Operation>> decode_operation(ByteView bytes);
inline std::size_t size(const Operation& operation) {
    return std::holds_alternative<ListRequest>(operation) ? op_header_size : import_request_size;
}
void encode_list_reply(std::vector<Byte>& out, const std::vector<DeviceEntry>& devices);
void encode_import_reply(std::vector<Byte>& out, const DeviceEntry& device);
void encode_import_refusal(std::vector<Byte>& out); // 8 bytes

struct Submit {
    std::uint32_t sequence = 0, device = 0;
    bool in = false;
    std::uint32_t endpoint = 0; // 0 to 15, without the direction bit
    std::uint32_t length = 0;   // of the transfer: what the host takes, or what follows the header
    std::uint32_t packets = 0;  // given back as it came
    std::array<Byte, 8> setup{};

    std::size_t data_size() const { return in ? 0 : length; }
};
struct Unlink {
    std::uint32_t sequence = 0, device = 0, target = 0;
};
using Request = std::variant<Submit, Unlink>;

// `bytes` may go on; the data of a Submit follow its 48 bytes. Empty: more is needed. Errors: an unknown
// command, an endpoint above 15, a direction that is neither, an isochronous transfer, a length above
// transfer_limit.
Result<std::optional<Request>> decode_request(ByteView bytes);
// `data` only goes out for a Submit with `in`; `actual` is what was taken of an OUT transfer.
void encode_submit_reply(std::vector<Byte>& out, const Submit& submit, Status status, std::size_t actual,
                         ByteView data);
void encode_unlink_reply(std::vector<Byte>& out, const Unlink& unlink, Status status);

} // namespace ekey::softkey::usbip
