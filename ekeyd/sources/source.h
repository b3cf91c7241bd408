// A source of noise: a dongle, a device, another host. It delivers raw bytes and says how it is; testing,
// accounting and retry of failed health belong to the stage that owns it (pipeline).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ekeyd/health/monitor.h"
#include "ekeyd/sources/device_figures.h"
#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey {

// What a source tells its owner. All calls come from the loop.
class SourceOwner {
  public:
    // Decrypted, unconditioned bytes, any number; the view is valid during the call.
    virtual void on_samples(ByteView raw) = 0;
    // It cannot deliver honest bytes any more: what it has in flight is to be thrown away. Failure::device
    // for a device's own report; Failure::silence when it is gone or does not answer. `detail` is one
    // sentence.
    virtual void on_failure(health::Failure why, std::string detail) = 0;
    // A new session began (plugged in, reset, power-cycled): the health tests begin again.
    virtual void on_restart() = 0;

  protected:
    ~SourceOwner() = default;
};

// What `list` shows of one source. Words: those of ekeyd 1.1.5 where they fit.
struct SourceStatus {
    bool ok = false;     // delivers now
    std::string word;    // "Running OK", "Long-Term-Key is bad", ...
    std::string path;    // as it was given: /dev/ttyACM0, device:/dev/hwrng
    std::string serial;  // or empty
    bool closed = false; // not there, or given up for a while: it is opened again later
};

// Name and value, in the order and with the names of ekeyd 1.1.5, new ones after them.
using Statistics = std::vector<std::pair<std::string, std::string>>;

class Source {
  public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;

    // Opens and begins; a device that is absent is tried again with back-off, and that is no error.
    // Returns an error only for what no retry can mend, or, when `must_open`, when it is not there now.
    virtual Result<void> start(SourceOwner& owner, bool must_open) = 0;

    // Back-pressure: the pool is full. A source that must be watched (a dongle) may go on delivering; what it
    // delivers is then tested and absorbed.
    virtual void pause(bool on) = 0;

    // Starts the session anew, as if plugged in again.
    virtual void reset() = 0;

    // The long-term keys in the keyring have changed.
    virtual void keyring_changed() {}

    virtual SourceStatus status() const = 0;
    virtual void add_statistics(Statistics& out) const = 0;
    // What the device tells of itself, if it does.
    virtual DeviceFigures figures() const { return {}; }

    virtual double default_min_entropy() const = 0; // bits a byte; each driver says why
    // Bits a byte that count at most, as things are now.
    virtual double most_min_entropy() const { return 8; }
};

} // namespace ekey
