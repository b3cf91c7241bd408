// Holds the clients of a listener to their rates, each its own and those of a network together. Who has had
// its bytes waits for the next, and is told of no error.
//
// It knows its clients by numbers that the owner chooses, small ones, because they are places in a list. No
// socket, and no clock: the owner hands in the time, and calls release() at next().
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "ekeyd/listeners/client_networks.h"
#include "ekeyd/listeners/rate.h"

namespace ekey {

class Pacer {
  public:
    using Id = std::uint32_t;

    Pacer(const Rate& client, const ClientNetworks::Options& networks);

    // A client comes; false when its network has as many as it may. One without an address has no network.
    bool enter(Id id, const IpAddress& from, Time now);
    void leave(Id id, Time now); // it goes, wherever it waits

    // Of `count` bytes, how many it may have at once, past those of its network who wait.
    std::size_t allowed(Id id, std::size_t count, Time now) const;
    void take(Id id, std::size_t bytes, Time now); // it has had them

    // For a request that is met as a whole, of at most smallest_burst bytes. True: its bytes are taken.
    // False: nothing is, and hold() makes it wait.
    bool pass(Id id, std::size_t count, Time now);
    void hold(Id id, std::size_t count, Time now);
    // Call until it gives none: the next client whose held request may now be met; its bytes are taken.
    std::optional<Id> release(Time now);
    Time next() const; // when release() may have one; Time::max(): nobody waits

    std::size_t held() const { return held_; } // clients that wait now

    // The longest answer of EGD: a bucket that never held as much would hold a client for ever.
    static constexpr std::uint64_t smallest_burst = 255;

  private:
    enum class Place : Byte { none, own, line }; // where it waits: for its own bucket, for its network's
    struct Client {
        Bucket bucket;
        ClientNetwork* network = nullptr;
        std::uint64_t due = 0; // in the line
        Time ready{};          // in own_
        std::uint16_t count = 0;
        Place place = Place::none;
    };
    bool line_up(Id id);
    void take(Client& client, std::size_t bytes, Time now);
    void find_next(ClientNetwork& network);

    Rate client_rate_, network_rate_;
    ClientNetworks networks_;
    std::vector<Client> clients_;
    std::set<std::pair<Time, Id>> own_;
    std::set<std::pair<Time, ClientNetwork*>> lines_; // those that are not empty
    std::size_t held_ = 0;
};

} // namespace ekey
