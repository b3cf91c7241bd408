// USB made of scripts: devices that are plugged in and pulled out, and what they send, stall and refuse. It
// keeps the rules of usb::Backend as libusb does: an end is told from the loop, a cancelled transfer ends
// too, and an unplugged device ends all of its transfers.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/usb/backend.h"

namespace ekey::test {

class FakeUsb;

struct FakeTransfer final : usb::Transfer {
    FakeTransfer(FakeUsb& fake, std::uint64_t of, usb::TransferOwner& told);
    ~FakeTransfer() override;
    Result<void> bulk(std::uint8_t ep, ByteSpan b) override;
    Result<void> control(const usb::ControlRequest& r) override;
    void cancel() override;
    bool in_flight() const override { return flying; }
    Result<void> submit();

    FakeUsb& usb;
    std::uint64_t instance;
    usb::TransferOwner& owner;
    std::uint8_t endpoint = 0; // 0: control
    ByteSpan buffer;
    bool flying = false, cancelled = false;
};

// What a plugged-in device does; tests change it at will.
struct FakeDevice {
    usb::Device device;
    std::vector<usb::Interface> interfaces;
    std::deque<std::vector<Byte>> to_send; // one entry a packet; an empty one is a packet without data
    std::vector<Byte> written;
    std::vector<usb::ControlRequest> controls;
    unsigned stalls_in = 0, stalls_out = 0, failures_in = 0; // transfers to spoil
    std::size_t takes_at_once = 512;                         // of a write
    bool busy = false, plugged = true, clear_works = true;
    std::set<std::uint8_t> claimed, halted;
    std::vector<std::string> log; // "claim 0", "release 1", "clear 81"
    std::size_t most_reads_in_flight = 0;
};

class FakeUsb final : public usb::Backend {
  public:
    explicit FakeUsb(Loop& l) : Backend(l), pump_(l) { pump_.bind<&FakeUsb::pump>(this); }
    ~FakeUsb() override {
        while (buried() > 0) {
            pump();
            reap();
        }
        CHECK(open_devices == 0);
        CHECK(transfers.empty());
    }

    static std::vector<usb::Interface> cdc_acm() {
        return {{0, 0x02, {{0x82, 8, false}}}, {1, 0x0a, {{0x81, 64, true}, {0x03, 64, true}}}};
    }

    FakeDevice& plug(usb::Id id, std::string location, std::string serial,
                     std::vector<usb::Interface> interfaces = cdc_acm()) {
        const std::uint64_t instance = next_++;
        FakeDevice& made = devices_by_instance[instance];
        made.device = {instance, id, std::move(location), std::move(serial)};
        made.interfaces = std::move(interfaces);
        arrived(made.device);
        return made;
    }
    void unplug(FakeDevice& device) {
        device.plugged = false;
        left(device.device.instance);
        go_on();
    }
    void send(FakeDevice& device, ByteView bytes) {
        device.to_send.emplace_back(bytes.begin(), bytes.end());
        go_on();
    }
    Loop& event_loop() const { return loop(); }
    void go_on() { pump_.start(Duration::zero()); }

    Result<std::unique_ptr<usb::OpenDevice>> open(const usb::Device& device) override;

    std::map<std::uint64_t, FakeDevice> devices_by_instance; // unplugged ones stay
    std::list<FakeTransfer*> transfers;                      // alive
    std::list<FakeTransfer*> flying;                         // in the order of submission
    int open_devices = 0;
    int refuse_submits = 0;

    void pump() {
        // What is submitted from within a callback has its turn in the next round.
        std::vector<std::pair<FakeTransfer*, std::pair<usb::End, std::size_t>>> ended;
        for (auto i = flying.begin(); i != flying.end();) {
            usb::End end{};
            std::size_t bytes = 0;
            if (ends(**i, end, bytes)) {
                ended.push_back({*i, {end, bytes}});
                i = flying.erase(i);
            } else {
                ++i;
            }
        }
        for (auto& [transfer, how] : ended) {
            transfer->flying = false;
            transfer->cancelled = false;
            transfer->owner.on_transfer(*transfer, how.first, how.second);
        }
        reap_soon();
        if (!ended.empty()) {
            go_on();
        }
    }

  private:
    bool ends(FakeTransfer& t, usb::End& end, std::size_t& bytes) {
        FakeDevice& d = devices_by_instance.at(t.instance);
        bytes = 0;
        if (!d.plugged || t.cancelled) {
            end = d.plugged ? usb::End::cancelled : usb::End::unplugged;
            return true;
        }
        end = usb::End::done;
        if (t.endpoint == 0) {
            return true;
        }
        const bool in = (t.endpoint & 0x80) != 0;
        if (d.halted.contains(t.endpoint)) {
            return false; // queued behind the stall: a host controller does not touch it
        }
        if (unsigned& stalls = in ? d.stalls_in : d.stalls_out; stalls > 0) {
            --stalls;
            d.halted.insert(t.endpoint);
            end = usb::End::stalled;
            return true;
        }
        if (!in) {
            bytes = std::min(t.buffer.size(), d.takes_at_once);
            d.written.insert(d.written.end(), t.buffer.begin(),
                             t.buffer.begin() + static_cast<std::ptrdiff_t>(bytes));
            return true;
        }
        if (d.failures_in > 0) {
            --d.failures_in;
            end = usb::End::failed;
            return true;
        }
        if (d.to_send.empty()) {
            return false;
        }
        bytes = std::min(d.to_send.front().size(), t.buffer.size());
        if (bytes > 0) {
            std::memcpy(t.buffer.data(), d.to_send.front().data(), bytes);
        }
        d.to_send.pop_front();
        return true;
    }

    Timer pump_;
    std::uint64_t next_ = 1;
};

class FakeOpenDevice final : public usb::OpenDevice {
  public:
    FakeOpenDevice(FakeUsb& usb, FakeDevice& device) : usb_(usb), device_(device), later_(usb.event_loop()) {
        ++usb_.open_devices;
        later_.bind<&FakeOpenDevice::on_cleared>(this);
    }
    ~FakeOpenDevice() override {
        --usb_.open_devices;
        CHECK(device_.claimed.empty());
        for (const FakeTransfer* t : usb_.flying) {
            CHECK(t->instance != device_.device.instance);
        }
    }
    const std::vector<usb::Interface>& interfaces() const override { return device_.interfaces; }
    Result<void> claim(std::uint8_t interface) override {
        if (device_.busy) {
            return fail("in use by another program");
        }
        device_.claimed.insert(interface);
        device_.log.push_back("claim " + std::to_string(interface));
        return {};
    }
    void release(std::uint8_t interface) override {
        device_.claimed.erase(interface);
        device_.log.push_back("release " + std::to_string(interface));
    }
    std::unique_ptr<usb::Transfer> make_transfer(usb::TransferOwner& owner) override {
        return std::make_unique<FakeTransfer>(usb_, device_.device.instance, owner);
    }
    void clear_halt(std::uint8_t endpoint, std::function<void(bool)> done) override {
        for (const FakeTransfer* t : usb_.flying) {
            CHECK_FALSE((t->instance == device_.device.instance && t->endpoint == endpoint));
        }
        cleared_ = endpoint;
        done_ = std::move(done);
        later_.start(Duration::zero());
    }

  private:
    void on_cleared() {
        device_.log.push_back("clear " + std::to_string(cleared_));
        if (device_.clear_works) {
            device_.halted.erase(cleared_);
        }
        done_(device_.clear_works && device_.plugged);
        usb_.go_on();
    }
    FakeUsb& usb_;
    FakeDevice& device_;
    Timer later_;
    std::uint8_t cleared_ = 0;
    std::function<void(bool)> done_;
};

inline Result<std::unique_ptr<usb::OpenDevice>> FakeUsb::open(const usb::Device& device) {
    FakeDevice& found = devices_by_instance.at(device.instance);
    if (!found.plugged) {
        return fail("unplugged");
    }
    return std::make_unique<FakeOpenDevice>(*this, found);
}

inline FakeTransfer::FakeTransfer(FakeUsb& fake, std::uint64_t of, usb::TransferOwner& told)
    : usb(fake), instance(of), owner(told) {
    usb.transfers.push_back(this);
}

inline FakeTransfer::~FakeTransfer() {
    CHECK_FALSE(flying);
    usb.transfers.remove(this);
}

inline Result<void> FakeTransfer::submit() {
    CHECK_FALSE(flying);
    FakeDevice& device = usb.devices_by_instance.at(instance);
    if (!device.plugged || usb.refuse_submits > 0) {
        return fail("unplugged");
    }
    flying = true;
    usb.flying.push_back(this);
    const auto reads = std::count_if(usb.flying.begin(), usb.flying.end(), [this](const FakeTransfer* t) {
        return t->instance == instance && (t->endpoint & 0x80) != 0;
    });
    device.most_reads_in_flight = std::max(device.most_reads_in_flight, static_cast<std::size_t>(reads));
    usb.go_on();
    return {};
}

inline Result<void> FakeTransfer::bulk(std::uint8_t ep, ByteSpan b) {
    endpoint = ep;
    buffer = b;
    return submit();
}

inline Result<void> FakeTransfer::control(const usb::ControlRequest& r) {
    endpoint = 0;
    usb.devices_by_instance.at(instance).controls.push_back(r);
    return submit();
}

inline void FakeTransfer::cancel() {
    CHECK(flying);
    cancelled = true;
    usb.go_on();
}

} // namespace ekey::test
