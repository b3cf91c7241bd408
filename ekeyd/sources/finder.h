// Finds sources that come and go: entropykey:usb, entropykey:/dev/entropykey/.
#pragma once

#include <string>

namespace ekey {

class Finder;

class FinderOwner {
  public:
    // One came (again); `address` is that of its source, the same each time. The owner adds the source, or
    // wakes the one that it has.
    virtual void on_found(const Finder& by, const std::string& address) = 0;

  protected:
    ~FinderOwner() = default;
};

class Finder {
  public:
    Finder(std::string address, FinderOwner& owner) : address_(std::move(address)), owner_(owner) {}
    Finder(const Finder&) = delete;
    Finder& operator=(const Finder&) = delete;
    virtual ~Finder() = default;

    const std::string& address() const { return address_; } // as it was given

  protected:
    void found(const std::string& address) { owner_.on_found(*this, address); }

  private:
    std::string address_;
    FinderOwner& owner_;
};

} // namespace ekey
