// The networks that clients come from, each with what its clients share: their number, their rate, and the
// line of those who wait for it.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <set>

#include "ekeyd/listeners/network.h"
#include "ekeyd/listeners/rate.h"

namespace ekey {

struct ClientNetwork {
    const IpAddress* address = nullptr; // its own, the map's key
    std::size_t clients = 0;            // connected now
    Bucket bucket;
    // Who waits for the bucket: by its due time in bytes, as in pool/turns.h, so that who asks for much at a
    // time gets no more than others.
    std::set<std::pair<std::uint64_t, std::uint32_t>> line;
    std::uint64_t now = 0;   // virtual time of the line
    Time next = Time::max(); // when the first in line may go on
};

class ClientNetworks {
  public:
    struct Options {
        // What one site has, as a rule: a /64 is the smallest IPv6 subnet (RFC 4291 2.5.4), and a /24 the
        // smallest IPv4 network that is commonly routed.
        unsigned prefix4 = 24, prefix6 = 64;
        Rate rate;                   // of all clients of a network together
        std::size_t max_clients = 0; // of a network; 0: no limit
        bool any() const { return rate.limited() || max_clients > 0; }
    };
    explicit ClientNetworks(const Options& options) : options_(options) {}

    // One more client of the network of `from`; null when that has as many as it may. What is returned stays
    // where it is until its leave().
    ClientNetwork* enter(const IpAddress& from, Time now);
    void leave(ClientNetwork& network, Time now); // one client less

    // A network without clients is remembered until its bucket is full again, so that who comes back gains
    // nothing. So many at most: half a megabyte. Beyond that, the one that was left first is forgotten, and
    // has a full burst when it comes back; that takes a peer with more networks than these.
    static constexpr std::size_t most_remembered = 4096;
    std::size_t size() const { return networks_.size(); }

  private:
    // Ordered: keys come from outside, and no choice of them makes a tree slow.
    struct Entry {
        ClientNetwork shared;
        std::list<const IpAddress*>::iterator left; // in left_, while it has no clients
    };
    void forget_some(Time now);

    Options options_;
    std::map<IpAddress, Entry> networks_;
    std::list<const IpAddress*> left_; // without clients, the first left first
};

} // namespace ekey
