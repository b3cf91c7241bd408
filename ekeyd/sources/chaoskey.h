// What the kernel's driver "chaoskey" drives speaks as a ChaosKey does.
#pragma once

#include <memory>

#include "ekeyd/sources/registry.h"
#include "ekeyd/sources/usb_driver.h"

namespace ekey {

// Endpoint 5 of the vendor interface, in the bulk packets of the kernel's driver.
usb::Plan chaoskey_plan(usb::Id id);

// Claims 7 bits a byte, unless the address says otherwise.
Result<std::unique_ptr<Source>> make_chaoskey(DongleMade made);

} // namespace ekey
