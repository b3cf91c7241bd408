// All that can be told of the daemon, as numbers and words: for the HTTP listener, and whatever else shows or
// exports them. Nothing secret is among them: no noise, no key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ekeyd/health/monitor.h"
#include "ekeyd/listeners/listener.h"
#include "ekeyd/sources/device_figures.h"
#include "ekeyd/sources/source.h"
#include "protocol/bytes.h"

namespace ekey::metrics {

struct SourceFigures {
    unsigned number = 0; // what lists show
    std::string address; // as it was given
    SourceStatus status;
    double min_entropy = 0; // bits a byte that are counted now
    health::State health = health::State::starting;
    health::Failure failure = health::Failure::none; // why it is failed, or why it last was
    std::string detail;                              // one sentence of it
    health::Counters counters;
    DeviceFigures device;
    std::optional<double> rate; // bytes of noise a second that passed its tests, over the last minute; of
                                // those who keep a history
};

struct ListenerFigures {
    std::string address; // where it listens, without parameters
    Listener::Counters counters;
    bool serves = true;                         // random bytes: its clients are those who may have to wait
    std::optional<std::uint64_t> served_lately; // bytes, in the last seconds; of those who keep a history
};

struct SinkFigures {
    std::string address, state; // as Sink's
    std::uint64_t bytes = 0;
};

struct PoolFigures {
    std::size_t size = 0, capacity = 0; // bytes
    std::uint64_t bytes_in = 0, bytes_out = 0;
    std::size_t waiting = 0;  // those who wait for it
    double gathered_bits = 0; // assessed, towards the next output of the conditioner
    std::uint64_t xor_reseeds = 0, drbg_reseeds = 0, drbg_bytes = 0;
};

struct KernelFigures { // of this host; what it does not tell is not there
    std::optional<double> entropy_bits, pool_bits;
};

struct Figures {
    std::string version, host; // of ekeyd; this host's name
    double started = 0;        // seconds since 1970
    double cpu_seconds = 0;    // used by this process
    std::vector<SourceFigures> sources;
    PoolFigures pool;
    std::vector<ListenerFigures> listeners;
    std::vector<SinkFigures> sinks;
    KernelFigures kernel;
};

class Provider {
  public:
    virtual Figures figures() const = 0;

  protected:
    ~Provider() = default;
};

} // namespace ekey::metrics
