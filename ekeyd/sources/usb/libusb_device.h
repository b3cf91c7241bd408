// One device opened over libusb, and its transfers.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/usb/backend.h"
#include "ekeyd/sources/usb/libusb_context.h"

struct libusb_device_handle; // NOLINT(readability-identifier-naming): libusb's
struct libusb_transfer;      // NOLINT(readability-identifier-naming): libusb's

namespace ekey::usb {

class LibUsbDevice final : public OpenDevice {
  public:
    static Result<std::unique_ptr<OpenDevice>> open(Loop& loop, std::shared_ptr<Context> context,
                                                    const DeviceRef& device, const Device& what);
    ~LibUsbDevice() override;

    const std::vector<Interface>& interfaces() const override { return interfaces_; }
    Result<void> claim(std::uint8_t interface) override;
    void release(std::uint8_t interface) override;
    std::unique_ptr<Transfer> make_transfer(TransferOwner& owner) override;
    void clear_halt(std::uint8_t endpoint, std::function<void(bool)> done) override;

    libusb_device_handle* handle() const { return handle_; }
    Context& context() const { return *context_; }
    const Device& device() const { return device_; }

  private:
    LibUsbDevice(Loop& loop, std::shared_ptr<Context> context, libusb_device_handle* handle, Device what);
    Result<void> read_interfaces(const DeviceRef& device);
    void on_cleared();

    std::shared_ptr<Context> context_;
    libusb_device_handle* handle_;
    Device device_;
    std::vector<Interface> interfaces_;

    // Clearing a stall waits for the device, up to five seconds: it has a thread of its own.
    std::thread clearer_;
    AsyncWatcher cleared_;
    int clear_error_ = 0;
    std::function<void(bool)> clear_done_;
};

class LibUsbTransfer final : public Transfer {
  public:
    LibUsbTransfer(LibUsbDevice& device, TransferOwner& owner);
    ~LibUsbTransfer() override;

    Result<void> bulk(std::uint8_t endpoint, ByteSpan buffer) override;
    Result<void> control(const ControlRequest& request) override;
    void cancel() override;
    bool in_flight() const override { return in_flight_; }

  private:
    Result<void> submit();
    void on_end();

    LibUsbDevice& device_;
    TransferOwner& owner_;
    libusb_transfer* transfer_;
    std::vector<Byte> request_; // setup packet and data
    bool in_flight_ = false;
};

} // namespace ekey::usb
