// What the drivers need of USB, and no more: libusb_backend.h gives it over libusb, tests have a device made
// of scripts. All calls are made from the loop, and none waits for a device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ekeyd/runtime/loop.h"
#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey::usb {

class Channel;

struct Id {
    std::uint16_t vendor, product;
    bool operator==(const Id&) const = default;
};

// A device that is plugged in.
struct Device {
    std::uint64_t instance = 0; // this one plugging-in; never used again
    Id id{};
    std::string location; // "1-4.2", bus and ports: the same for the same socket
    std::string serial;   // its serial number string, or empty. As the device says: anything
};

// A claimed or claimable part of a device (USB 2.0, 9.6.5 and 9.6.6).
struct Endpoint {
    std::uint8_t address; // bit 7: IN
    std::uint16_t packet_size;
    bool bulk;
};
struct Interface {
    std::uint8_t number;
    std::uint8_t interface_class;
    std::vector<Endpoint> endpoints;
};

// How a transfer ended.
enum class End { done, stalled, timed_out, cancelled, unplugged, failed };

// An OUT control request to an interface (USB 2.0, 9.3).
struct ControlRequest {
    std::uint8_t type, request;
    std::uint16_t value, index;
    std::vector<Byte> data;
    Duration pause{}; // before the next one
};

class Transfer;
class TransferOwner {
  public:
    // `bytes`: how many were moved, whatever the end.
    virtual void on_transfer(Transfer& transfer, End end, std::size_t bytes) = 0;

  protected:
    ~TransferOwner() = default;
};

// One transfer at a time, used again and again. Must not be destroyed in flight.
class Transfer {
  public:
    Transfer() = default;
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    virtual ~Transfer() = default;

    // Begins; the end is told from the loop, never from within these calls. `buffer` must stay until then. A
    // bulk transfer waits without limit. Error: it did not begin, and no end will be told.
    virtual Result<void> bulk(std::uint8_t endpoint, ByteSpan buffer) = 0;
    virtual Result<void> control(const ControlRequest& request) = 0;
    virtual void cancel() = 0; // its end comes all the same
    virtual bool in_flight() const = 0;
};

// A device opened by us. Destroying it closes it; no transfer of it may be in flight then.
class OpenDevice {
  public:
    OpenDevice() = default;
    OpenDevice(const OpenDevice&) = delete;
    OpenDevice& operator=(const OpenDevice&) = delete;
    virtual ~OpenDevice() = default;

    virtual const std::vector<Interface>& interfaces() const = 0;
    virtual Result<void> claim(std::uint8_t interface) = 0; // takes it from the kernel's driver
    virtual void release(std::uint8_t interface) = 0;       // gives it back to the kernel's driver
    virtual std::unique_ptr<Transfer> make_transfer(TransferOwner& owner) = 0;
    // Ends a stall of an endpoint with nothing in flight. `done` is called from the loop, not from within.
    virtual void clear_halt(std::uint8_t endpoint, std::function<void(bool cleared)> done) = 0;
};

class DeviceWatcher {
  public:
    virtual void on_arrived(const Device& device) = 0;

  protected:
    ~DeviceWatcher() = default;
};

class Backend {
  public:
    explicit Backend(Loop& loop);
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend();

    const std::vector<Device>& devices() const { return devices_; } // plugged in now, as far as is known
    virtual Result<std::unique_ptr<OpenDevice>> open(const Device& device) = 0;

    // Tells of devices that come from now on; those that are there now are in devices().
    void watch(DeviceWatcher& watcher);
    void unwatch(DeviceWatcher& watcher);

    // Keeps a channel that was shut until the last of its transfers has ended.
    void bury(std::unique_ptr<Channel> channel);
    void reap(); // takes down those that are quiet; also done from the loop

  protected:
    void arrived(const Device& device); // of the caller's, not one of devices()
    void left(std::uint64_t instance);
    void reap_soon() { reaper_.start(Duration::zero()); } // after transfers have ended
    std::size_t buried() const { return buried_.size(); } // channels that wait for the end of a transfer
    void abandon_buried(); // at the very end: what has not ended by now is leaked, because USB may still
                           // write to it
    Loop& loop() const { return loop_; }

  private:
    Loop& loop_;
    Timer reaper_; // buried channels are taken down outside of their own callbacks
    std::vector<Device> devices_;
    std::vector<DeviceWatcher*> watchers_;
    std::vector<std::unique_ptr<Channel>> buried_;
};

} // namespace ekey::usb
