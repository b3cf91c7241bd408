// Finds every dongle of one kind on USB, now and later: entropykey:usb.
#pragma once

#include <memory>
#include <string>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/usb/backend.h"
#include "ekeyd/sources/usb_driver.h"

namespace ekey {

class UsbFinder;

class FinderOwner {
  public:
    // A device was plugged in (again); `address` is that of its source, the same each time. The owner adds
    // the source, or wakes the one that it has.
    virtual void on_found(const UsbFinder& by, const std::string& address) = 0;

  protected:
    ~FinderOwner() = default;
};

class UsbFinder final : private usb::DeviceWatcher {
  public:
    // `address` is KIND:usb with the parameters that each of the sources gets. What is plugged in already is
    // told from the loop. The backend must outlive us.
    UsbFinder(Loop& loop, usb::Backend& backend, const UsbDriver& driver, const config::Address& address,
              FinderOwner& owner);
    ~UsbFinder();

    const std::string& address() const { return address_; }

  private:
    void on_arrived(const usb::Device& device) override;
    void tell_present();

    usb::Backend& backend_;
    const UsbDriver& driver_;
    std::string address_, parameters_;
    FinderOwner& owner_;
    Timer first_;
};

} // namespace ekey
