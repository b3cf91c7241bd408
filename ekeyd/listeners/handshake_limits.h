// How many handshakes may go on at a time, and how many an address may begin. No clock: the owner hands in
// the time.
#pragma once

#include <map>

#include "ekeyd/listeners/network.h"
#include "ekeyd/listeners/rate.h"

namespace ekey {

class HandshakeLimits {
  public:
    // Of all, and of one address. A handshake in flight costs some three kilobytes; one that is honest lasts
    // two round trips. A site whose guests share one address begins as many at once; those beyond come back.
    static constexpr std::size_t most = 256, most_of_address = 64;
    // Handshakes a second of one address, and what may come at once after a rest. Each costs up to a third of
    // a millisecond of one processor, so an address can keep it busy for a sixtieth of the time.
    static constexpr Rate rate{50, 200};
    // The smallest network that is one customer's: a host, or a /64 (RFC 4291, section 2.5.4).
    static constexpr unsigned prefix4 = 32, prefix6 = 64;

    // Whether one may begin; then leave() is called at its end.
    bool enter(const IpAddress& from, Time now);
    void leave(const IpAddress& from, Time now);
    std::size_t in_flight() const { return in_flight_; }
    std::size_t remembered() const { return entries_.size(); } // addresses

    // Addresses to remember at most, a megabyte. Beyond that, a flood comes from more addresses than any
    // limit by address can help against, and who is new is let in unremembered.
    static constexpr std::size_t most_remembered = 8192;

  private:
    struct Entry {
        std::size_t in_flight = 0;
        Bucket bucket;
    };
    void forget_full(Time now);

    std::map<IpAddress, Entry> entries_;
    std::size_t in_flight_ = 0;
};

} // namespace ekey
