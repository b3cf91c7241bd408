// What the control socket can see and change. The pipeline implements it; tests have their own.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ekeyd/sources/source.h"
#include "protocol/result.h"

namespace ekey::control {

struct SourceRow {
    unsigned number; // 1 and up, never used again while the daemon lives
    SourceStatus status;
};

// Receives raw bytes diverted from one source. The view is valid during the call.
class CaptureReceiver {
  public:
    virtual void on_captured(ByteView raw) = 0;
    virtual void
    on_capture_ended(std::string why) = 0; // the source went away; not called after all bytes came

  protected:
    ~CaptureReceiver() = default;
};

class Subject {
  public:
    virtual std::vector<SourceRow> sources() const = 0;
    // An id is a number, a serial or a path.
    virtual Result<unsigned> find(std::string_view id) const = 0;
    virtual Result<Statistics> statistics(unsigned number) const = 0;
    // `where` is a path (an Entropy Key, as in 1.1.5) or a source address. With `serial`, the device must
    // have it.
    virtual Result<unsigned> add_source(std::string_view where, std::optional<std::string_view> serial) = 0;
    virtual Result<void> add_directory(std::string_view directory) = 0;
    // Of an address that means every dongle of a kind (entropykey:usb), as it was added: looks for none any
    // more, and removes those that it has found. False: there is no such address.
    virtual bool remove_finder(std::string_view address) = 0;
    virtual Result<void> remove_source(unsigned number) = 0;
    virtual Result<void> reset_source(unsigned number) = 0;
    virtual Result<std::size_t> load_keyring(std::string_view path) = 0; // the number of keys read
    // Name and value lines on health: of one source, or of the whole daemon and every source.
    virtual Result<std::vector<std::string>> health(std::optional<unsigned> number) const = 0;

    virtual Result<void> add_listener(std::string_view address) = 0;
    virtual Result<void> remove_listener(std::string_view address) = 0;
    virtual Result<void> add_sink(std::string_view address) = 0;
    virtual Result<void> remove_sink(std::string_view address) = 0;
    virtual std::vector<std::string> listeners() const = 0; // "ADDRESS\tname=value..." each
    virtual std::vector<std::string> sinks() const = 0;

    // Diverts the next `bytes` decrypted, unconditioned bytes of a source; they never reach the pool. One
    // capture a source at a time. The receiver must outlive the capture or end it.
    virtual Result<void> begin_capture(unsigned number, std::uint64_t bytes, CaptureReceiver& receiver) = 0;
    virtual void end_capture(CaptureReceiver& receiver) = 0;

    // Reads the configuration again. Says what of it needs a restart; empty: nothing.
    virtual Result<std::string> reload() = 0;
    virtual void shutdown() = 0; // the daemon ends once the current callbacks are done

  protected:
    ~Subject() = default;
};

} // namespace ekey::control
