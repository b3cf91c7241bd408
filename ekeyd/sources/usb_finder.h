// Finds every dongle of one kind on USB, now and later: entropykey:usb.
#pragma once

#include <memory>
#include <string>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/finder.h"
#include "ekeyd/sources/usb/backend.h"
#include "ekeyd/sources/usb_driver.h"

namespace ekey {

class UsbFinder final : public Finder, private usb::DeviceWatcher {
  public:
    // `address` is KIND:usb with the parameters that each of the sources gets. What is plugged in already is
    // told from the loop. The backend must outlive us.
    UsbFinder(Loop& loop, usb::Backend& backend, const UsbDriver& driver, const config::Address& address,
              FinderOwner& owner);
    ~UsbFinder() override;

  private:
    void on_arrived(const usb::Device& device) override;
    void tell_present();

    usb::Backend& backend_;
    const UsbDriver& driver_;
    std::string parameters_;
    Timer first_;
};

} // namespace ekey
