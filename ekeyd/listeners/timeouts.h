// Clients that say nothing. Their owner ticks all of them from time to time; so a request costs the store of
// a number, and neither a look at the clock nor a timer.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "ekeyd/config/address.h"
#include "protocol/bytes.h"
#include "protocol/result.h"

namespace ekey {

struct Timeouts {
    static constexpr std::array<std::string_view, 2> parameters{"idle", "handshake"};
    static constexpr std::uint64_t longest = std::uint64_t{86400} * 7; // seconds

    std::chrono::seconds idle{};      // without a request; 0: no limit
    std::chrono::seconds handshake{}; // from the connection to the first whole request, or to the end of a
                                      // handshake; 0: no limit of its own

    // Reads idle=SECONDS and handshake=SECONDS; those that are not given stay as they are.
    Result<void> read(const config::Address& address);

    bool any() const { return idle.count() > 0 || handshake.count() > 0; }
    // How often to tick: so that a client is closed a quarter of its time late at most.
    static constexpr unsigned ticks_per_limit = 4;
    Duration tick() const {
        const auto shortest = idle.count() == 0        ? handshake
                              : handshake.count() == 0 ? idle
                                                       : std::min(idle, handshake);
        return Duration(shortest) / ticks_per_limit;
    }
};

// What one client has not said for how long.
class Quiet {
  public:
    void heard() { // a whole request; the handshake is over
        ticks_ = 0;
        begun_ = true;
    }
    void rest() { ticks_ = 0; } // it is not for it to speak: it waits for us
    bool begun() const { return begun_; }
    // True when it has been quiet for too long. Not before its time: the first tick may come at once.
    bool tick(const Timeouts& limits) {
        ++ticks_;
        const Duration quiet = limits.tick() * (ticks_ - 1);
        return (limits.idle.count() > 0 && quiet >= limits.idle) ||
               (!begun_ && limits.handshake.count() > 0 && quiet >= limits.handshake);
    }

  private:
    std::uint32_t ticks_ = 0;
    bool begun_ = false;
};

} // namespace ekey
