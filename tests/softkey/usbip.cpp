#include "tests/softkey/usbip.h"

#include <algorithm>
#include <cassert>

namespace ekey::softkey::usbip {

namespace {

constexpr std::uint16_t list_request = 0x8005, list_reply = 0x0005;
constexpr std::uint16_t import_request = 0x8003, import_reply = 0x0003;
constexpr std::uint32_t cmd_submit = 1, cmd_unlink = 2, ret_submit = 3, ret_unlink = 4;
constexpr std::uint32_t not_isochronous = 0xffffffff;

template <class Number>
Number number_at(ByteView bytes, std::size_t offset) {
    Number number = 0;
    for (const Byte byte : bytes.subspan(offset, sizeof(Number))) {
        number = static_cast<Number>(number << 8 | byte);
    }
    return number;
}

template <class Number>
void put(std::vector<Byte>& out, Number number) {
    for (std::size_t i = sizeof(Number); i-- > 0;) {
        out.push_back(static_cast<Byte>(number >> (8 * i)));
    }
}

void put_text(std::vector<Byte>& out, std::string_view text, std::size_t size) {
    assert(text.size() < size);
    out.insert(out.end(), text.begin(), text.end());
    out.insert(out.end(), size - text.size(), 0);
}

void put_operation(std::vector<Byte>& out, std::uint16_t code, std::uint32_t status) {
    put(out, version);
    put(out, code);
    put(out, status);
}

void put_device(std::vector<Byte>& out, const DeviceEntry& device) {
    put_text(out, device.path, 256);
    put_text(out, device.busid, busid_size);
    put(out, device.bus);
    put(out, device.number);
    put(out, device.speed);
    put(out, device.vendor);
    put(out, device.product);
    put(out, device.release);
    for (const Byte byte : {device.device_class, device.subclass, device.protocol, device.configuration,
                            device.configurations, static_cast<Byte>(device.interfaces.size())}) {
        out.push_back(byte);
    }
}

void put_urb(std::vector<Byte>& out, std::uint32_t command, std::uint32_t sequence) {
    put(out, command);
    put(out, sequence);
    out.insert(out.end(), 12, 0); // device, direction and endpoint are zero in what a server sends
}

} // namespace

Result<std::optional<Operation>> decode_operation(ByteView bytes) {
    if (bytes.size() < op_header_size) {
        return std::nullopt;
    }
    if (number_at<std::uint16_t>(bytes, 0) != version) {
        return fail("a USB/IP client speaks another version than 1.1.1");
    }
    const auto code = number_at<std::uint16_t>(bytes, 2);
    if (code == list_request) {
        return Operation(ListRequest{});
    }
    if (code != import_request) {
        return fail("a USB/IP client asks for operation " + std::to_string(code) + ", which is none");
    }
    if (bytes.size() < import_request_size) {
        return std::nullopt;
    }
    const std::string_view busid = as_text(bytes.subspan(op_header_size, busid_size));
    const auto end = busid.find('\0');
    if (end == std::string_view::npos) {
        return fail("a USB/IP client sends a busid without an end");
    }
    return Operation(ImportRequest{std::string(busid.substr(0, end))});
}

void encode_list_reply(std::vector<Byte>& out, const std::vector<DeviceEntry>& devices) {
    put_operation(out, list_reply, 0);
    put(out, static_cast<std::uint32_t>(devices.size()));
    for (const DeviceEntry& device : devices) {
        put_device(out, device);
        for (const InterfaceEntry& entry : device.interfaces) {
            out.insert(out.end(), {entry.device_class, entry.subclass, entry.protocol, 0});
        }
    }
}

void encode_import_reply(std::vector<Byte>& out, const DeviceEntry& device) {
    put_operation(out, import_reply, 0);
    put_device(out, device);
}

void encode_import_refusal(std::vector<Byte>& out) {
    put_operation(out, import_reply, 1);
}

Result<std::optional<Request>> decode_request(ByteView bytes) {
    if (bytes.size() < urb_header_size) {
        return std::nullopt;
    }
    const auto command = number_at<std::uint32_t>(bytes, 0);
    const auto sequence = number_at<std::uint32_t>(bytes, 4), device = number_at<std::uint32_t>(bytes, 8);
    if (command == cmd_unlink) {
        return Request(Unlink{sequence, device, number_at<std::uint32_t>(bytes, 20)});
    }
    if (command != cmd_submit) {
        return fail("a USB/IP host sends command " + std::to_string(command) + ", which is none");
    }
    const auto direction = number_at<std::uint32_t>(bytes, 12);
    Submit submit{.sequence = sequence,
                  .device = device,
                  .in = direction == 1,
                  .endpoint = number_at<std::uint32_t>(bytes, 16),
                  .length = number_at<std::uint32_t>(bytes, 24),
                  .packets = number_at<std::uint32_t>(bytes, 32)};
    std::ranges::copy(bytes.subspan(40, 8), submit.setup.begin());
    if (direction > 1 || submit.endpoint > 15) {
        return fail("a USB/IP host names an endpoint that cannot be");
    }
    // The text asks for 0xffffffff; Linux sends 0.
    if (submit.packets != 0 && submit.packets != not_isochronous) {
        return fail("a USB/IP host asks for an isochronous transfer");
    }
    if (submit.length > transfer_limit) {
        return fail("a USB/IP host asks for a transfer of " + std::to_string(submit.length) +
                    " bytes; at most " + std::to_string(transfer_limit) + " are allowed");
    }
    return Request(submit);
}

void encode_submit_reply(std::vector<Byte>& out, const Submit& submit, Status status, std::size_t actual,
                         ByteView data) {
    assert(data.empty() || (submit.in && data.size() == actual));
    put_urb(out, ret_submit, submit.sequence);
    put(out, static_cast<std::uint32_t>(status));
    put(out, static_cast<std::uint32_t>(actual));
    put(out, std::uint32_t{0}); // start frame
    put(out, submit.packets);
    put(out, std::uint32_t{0}); // errors
    out.insert(out.end(), 8, 0);
    out.insert(out.end(), data.begin(), data.end());
}

void encode_unlink_reply(std::vector<Byte>& out, const Unlink& unlink, Status status) {
    put_urb(out, ret_unlink, unlink.sequence);
    put(out, static_cast<std::uint32_t>(status));
    out.insert(out.end(), 24, 0);
}

} // namespace ekey::softkey::usbip
