// The way to a dongle's bytes: a tty, a socket, USB. Drivers see only this.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey {

class LinkOwner {
  public:
    virtual void on_bytes(ByteView bytes) = 0; // the view is valid during the call
    virtual void on_writable() = 0;            // after write() took less than it was given
    virtual void
    on_lost(const std::string& why) = 0; // unplugged or closed; the owner destroys the link later

  protected:
    ~LinkOwner() = default;
};

class Link {
  public:
    Link() = default;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;
    virtual ~Link() = default;

    // Returns how many bytes were taken, 0 and up; the rest is tried again after on_writable().
    virtual std::size_t write(ByteView bytes) = 0;
    virtual void pause(bool on) = 0; // stops or resumes on_bytes()
    // What `list` says of a link in trouble, also after on_lost(): "Stalled" and the like. Empty when all is
    // well, and when the device is simply gone.
    virtual std::string condition() const { return {}; }
};

// Opens the link, or says why not. May be called again after a failure or a loss.
using LinkOpener = std::function<Result<std::unique_ptr<Link>>(LinkOwner&)>;

} // namespace ekey
