// A place that bytes are pushed to: the kernel's pool, a file, a FIFO.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ekeyd/config/address.h"
#include "ekeyd/pool/pool.h"
#include "ekeyd/runtime/loop.h"
#include "protocol/result.h"

namespace ekey {

class Sink {
  public:
    Sink() = default;
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;
    virtual ~Sink() = default;

    virtual const std::string& address() const = 0; // as it was given
    virtual std::uint64_t bytes_written() const = 0;
    virtual std::string state() const = 0; // "ok", or one sentence on what is wrong (disk full, no reader)
};

// Says what is wrong with the text of an address, before anything is opened.
Result<void> check_sink(const config::Address& address);

// Opens, or says why not (not permitted, bad parameter). Loop and pool must outlive the sink.
Result<std::unique_ptr<Sink>> make_sink(Loop& loop, Pool& pool, const config::Address& address);

} // namespace ekey
