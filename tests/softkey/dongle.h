// A software dongle on its line, as the program and its commands see it.
#pragma once

#include <string>

#include "protocol/result.h"
#include "tests/softkey/fault.h"

namespace ekey::softkey {

class Dongle {
  public:
    Dongle() = default;
    Dongle(const Dongle&) = delete;
    Dongle& operator=(const Dongle&) = delete;
    virtual ~Dongle() = default;

    virtual Result<void> start() = 0;
    // A line that is lost for good, or a log that cannot be written, ends the loop; then this says why.
    virtual const std::string& failure() const = 0;

    virtual void unplug() = 0;
    virtual void plug_in() = 0;
    // A fault begins with the next packet; mend() ends all faults.
    virtual Result<void> misbehave(Fault fault) = 0;
    virtual void mend() = 0;
};

// The program's voice on standard error.
void say(const std::string& sentence);

} // namespace ekey::softkey
