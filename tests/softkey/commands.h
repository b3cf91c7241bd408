// What softkey is told to do while it runs, a line each, from a FIFO:
//     unplug N | plug N | fault N KIND[=VALUE] | mend N          N: the device, from 1
// Each is answered on standard error: "done: LINE", or "not done: LINE: why".
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"
#include "protocol/result.h"
#include "tests/softkey/dongle.h"

namespace ekey::softkey {

using Dongles = std::vector<std::unique_ptr<Dongle>>;

// Errors: an unknown command or device, a fault that parse_fault() or the device refuses.
Result<void> obey(std::string_view line, const Dongles& dongles);

class Commands {
  public:
    // `dongles` must outlive it.
    Commands(Loop& loop, const Dongles& dongles);
    // Opens a FIFO that exists. Errors name it.
    Result<void> open(const std::string& path);

  private:
    void on_readable(int);

    const Dongles& dongles_;
    Fd fifo_;
    IoWatcher watcher_;
    std::string input_;
};

} // namespace ekey::softkey
