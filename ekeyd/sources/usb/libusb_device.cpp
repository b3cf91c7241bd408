#include "ekeyd/sources/usb/libusb_device.h"

#include <cassert>
#include <new>

#include <libusb-1.0/libusb.h>

namespace ekey::usb {

namespace {

constexpr unsigned control_timeout_ms = 1000;

std::string sentence(const Device& device, int error) {
    const std::string where = "USB device at " + device.location + ": ";
    switch (error) {
    case LIBUSB_ERROR_ACCESS:
        return where + "no permission to open it; a udev rule must give it to the daemon's group";
    case LIBUSB_ERROR_BUSY: return where + "in use by another program";
    case LIBUSB_ERROR_NO_DEVICE: return where + "unplugged";
    default: return where + libusb_strerror(error);
    }
}

} // namespace

// ---- device

LibUsbDevice::LibUsbDevice(Loop& loop, std::shared_ptr<Context> context, libusb_device_handle* handle,
                           Device what)
    : context_(std::move(context)), handle_(handle), device_(std::move(what)), cleared_(loop) {
    cleared_.bind<&LibUsbDevice::on_cleared>(this);
}

LibUsbDevice::~LibUsbDevice() {
    if (clearer_.joinable()) {
        clearer_.join();
    }
    libusb_close(handle_);
}

Result<std::unique_ptr<OpenDevice>> LibUsbDevice::open(Loop& loop, std::shared_ptr<Context> context,
                                                       const DeviceRef& device, const Device& what) {
    libusb_device_handle* handle = nullptr;
    if (const int error = libusb_open(device.get(), &handle); error != 0) {
        return fail(sentence(what, error));
    }
    std::unique_ptr<LibUsbDevice> opened(new LibUsbDevice(loop, std::move(context), handle, what));
    if (auto read = opened->read_interfaces(device); !read) {
        return tl::unexpected(read.error());
    }
    // Where there is no kernel driver to detach, that is no error.
    libusb_set_auto_detach_kernel_driver(handle, 1);
    return opened;
}

Result<void> LibUsbDevice::read_interfaces(const DeviceRef& device) {
    libusb_config_descriptor* found = nullptr;
    if (const int error = libusb_get_active_config_descriptor(device.get(), &found); error != 0) {
        return fail(sentence(device_, error));
    }
    const std::unique_ptr<libusb_config_descriptor, void (*)(libusb_config_descriptor*)> config(
        found, libusb_free_config_descriptor);
    for (int i = 0; i < config->bNumInterfaces; ++i) {
        const libusb_interface& alternatives = config->interface[i];
        if (alternatives.num_altsetting < 1) {
            continue;
        }
        const libusb_interface_descriptor& first =
            alternatives.altsetting[0]; // what is set after configuration
        Interface interface {
            first.bInterfaceNumber, first.bInterfaceClass, {}
        };
        for (int e = 0; e < first.bNumEndpoints; ++e) {
            const libusb_endpoint_descriptor& endpoint = first.endpoint[e];
            interface.endpoints.push_back(
                {endpoint.bEndpointAddress, static_cast<std::uint16_t>(endpoint.wMaxPacketSize & 0x7ff),
                 (endpoint.bmAttributes & LIBUSB_TRANSFER_TYPE_MASK) == LIBUSB_TRANSFER_TYPE_BULK});
        }
        interfaces_.push_back(std::move(interface));
    }
    return {};
}

Result<void> LibUsbDevice::claim(std::uint8_t interface) {
    if (const int error = libusb_claim_interface(handle_, interface); error != 0) {
        return fail(sentence(device_, error));
    }
    return {};
}

void LibUsbDevice::release(std::uint8_t interface) {
    libusb_release_interface(handle_, interface); // fails for a device that is gone, which is fine
}

std::unique_ptr<Transfer> LibUsbDevice::make_transfer(TransferOwner& owner) {
    return std::make_unique<LibUsbTransfer>(*this, owner);
}

void LibUsbDevice::clear_halt(std::uint8_t endpoint, std::function<void(bool)> done) {
    if (clearer_.joinable()) {
        clearer_.join(); // its end has been told, or is told together with this one's
    }
    clear_done_ = std::move(done);
    cleared_.start();
    clearer_ = std::thread([this, endpoint] {
        clear_error_ = libusb_clear_halt(handle_, endpoint);
        cleared_.send();
    });
}

void LibUsbDevice::on_cleared() {
    clearer_.join();
    clear_done_(clear_error_ == 0);
    context_->handle_events(); // whoever waits for the channel's end looks after events
}

// ---- transfers

LibUsbTransfer::LibUsbTransfer(LibUsbDevice& device, TransferOwner& owner)
    : device_(device), owner_(owner), transfer_(libusb_alloc_transfer(0)) {
    if (transfer_ == nullptr) {
        throw std::bad_alloc();
    }
}

LibUsbTransfer::~LibUsbTransfer() {
    assert(!in_flight_);
    libusb_free_transfer(transfer_);
}

namespace {

End end_of(int status) {
    switch (status) {
    case LIBUSB_TRANSFER_COMPLETED: return End::done;
    case LIBUSB_TRANSFER_TIMED_OUT: return End::timed_out;
    case LIBUSB_TRANSFER_CANCELLED: return End::cancelled;
    case LIBUSB_TRANSFER_STALL: return End::stalled;
    case LIBUSB_TRANSFER_NO_DEVICE: return End::unplugged;
    default: return End::failed;
    }
}

} // namespace

Result<void> LibUsbTransfer::bulk(std::uint8_t endpoint, ByteSpan buffer) {
    libusb_fill_bulk_transfer(transfer_, device_.handle(), endpoint, buffer.data(),
                              static_cast<int>(buffer.size()), nullptr, this, 0);
    return submit();
}

Result<void> LibUsbTransfer::control(const ControlRequest& request) {
    request_.assign(LIBUSB_CONTROL_SETUP_SIZE, 0);
    request_.insert(request_.end(), request.data.begin(), request.data.end());
    libusb_fill_control_setup(request_.data(), request.type, request.request, request.value, request.index,
                              static_cast<std::uint16_t>(request.data.size()));
    libusb_fill_control_transfer(transfer_, device_.handle(), request_.data(), nullptr, this,
                                 control_timeout_ms);
    return submit();
}

Result<void> LibUsbTransfer::submit() {
    assert(!in_flight_);
    transfer_->callback = [](libusb_transfer* transfer) {
        static_cast<LibUsbTransfer*>(transfer->user_data)->on_end();
    };
    if (const int error = libusb_submit_transfer(transfer_); error != 0) {
        return fail(sentence(device_.device(), error));
    }
    in_flight_ = true;
    device_.context().rearm();
    return {};
}

void LibUsbTransfer::cancel() {
    libusb_cancel_transfer(transfer_); // an error means that its end is on the way already
}

void LibUsbTransfer::on_end() {
    in_flight_ = false;
    const auto moved = static_cast<std::size_t>(transfer_->actual_length > 0 ? transfer_->actual_length : 0);
    owner_.on_transfer(*this, end_of(transfer_->status), moved);
}

} // namespace ekey::usb
