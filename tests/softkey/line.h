// Where a host finds the softkey: a pseudo-terminal, a tty, a Unix socket, or USB. The softkey owns the far
// end.
#pragma once

#include <memory>
#include <string>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"
#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey::softkey {

class LineOwner {
  public:
    virtual void on_input(ByteView bytes) = 0;
    virtual void on_writable() = 0;
    // Where the line can tell (a socket): a host came or went. What waited for the one before is stale.
    virtual void on_host_changed() = 0;
    // A line that feeds its device (USB) was plugged in at the host: the device starts anew.
    virtual void on_powered_up() {}
    virtual void on_dtr(bool) {} // USB: the host has raised or dropped it

  protected:
    ~LineOwner() = default;
};

class Line {
  public:
    Line() = default;
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    virtual ~Line() = default; // unplugs: what it made in the file system is gone

    // Appears, as a dongle that is plugged in. May be called again after unplug(). Errors name the path.
    virtual Result<void> plug_in(LineOwner& owner) = 0;
    virtual void unplug() = 0;

    // Bytes taken; 0 while no host is there or it does not read.
    virtual std::size_t write(ByteView bytes) = 0;
    // False while surely no host is there: nothing is made for it then.
    virtual bool has_host() const = 0;
    // Bytes that were written and that the host has not read yet.
    virtual std::size_t unread() const = 0;
    // Faults of the line's own, where it can have them (USB): the next bulk reads, so many, end in a STALL;
    // no bulk transfer is answered while mute.
    virtual void stall_reads(std::uint64_t /*times*/) {}
    virtual void mute(bool /*on*/) {}
    // What to wait for.
    virtual void watch(bool input, bool writable) = 0;
};

// LINK becomes a symbolic link to the slave of a new pseudo-terminal, raw. An old link there is replaced;
// anything else is refused.
std::unique_ptr<Line> pty_line(Loop& loop, std::string link);
// A tty that exists: a gadget's, or one half of a null modem. Opened again when it hangs up.
std::unique_ptr<Line> tty_line(Loop& loop, std::string path);
// Listens at PATH, mode 0600. Hosts are served one at a time, the next waits. A socket that nobody serves any
// more is replaced; one that is in use is refused.
std::unique_ptr<Line> unix_line(Loop& loop, const std::string& path);

// What the lines share: one descriptor, read and written without blocking.
class Stream {
  public:
    // Told once when the far end is gone; the descriptor is closed already.
    class Owner {
      public:
        virtual void on_stream_closed() = 0;

      protected:
        ~Owner() = default;
    };
    Stream(Loop& loop, Owner& owner);

    void attach(Fd fd, LineOwner& line_owner);
    void detach();
    bool attached() const { return static_cast<bool>(fd_); }
    int fd() const { return fd_.get(); }
    std::size_t write(ByteView bytes);
    void watch(bool input, bool writable);

  private:
    void on_io(int events);
    void close();

    Owner& owner_;
    LineOwner* line_owner_ = nullptr;
    Fd fd_;
    IoWatcher watcher_;
};

} // namespace ekey::softkey
