// A link over USB.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/link.h"
#include "ekeyd/sources/usb/backend.h"
#include "ekeyd/sources/usb/plan.h"

namespace ekey::usb {

// Which device: one of `ids`, and `name` is its serial number or its location, or empty: any.
struct Choice {
    std::vector<Id> ids;
    std::string name;
    std::string called; // "Entropy Key", for messages

    bool fits(const Device& device) const;
};

class UsbLink final : public Link {
  public:
    ~UsbLink() override;
    std::size_t write(ByteView bytes) override;
    void pause(bool on) override;
    std::string condition() const override;

    // Opens the device that is there now, by the plan for its kind. The backend must outlive the link.
    static Result<std::unique_ptr<Link>> open(Loop& loop, Backend& backend, const Choice& choice,
                                              Plan (*plan)(Id), LinkOwner& owner);

  private:
    UsbLink(Backend& backend, std::unique_ptr<Channel> channel);
    Backend& backend_;
    std::unique_ptr<Channel> channel_;
};

} // namespace ekey::usb
