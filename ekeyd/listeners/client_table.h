// The clients of one listener, and what they share.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ekeyd/listeners/client.h"
#include "ekeyd/listeners/listener.h"
#include "ekeyd/listeners/listener_limits.h"
#include "ekeyd/listeners/pacer.h"
#include "ekeyd/listeners/supply.h"
#include "ekeyd/listeners/throttle.h"

namespace ekey {

class ClientTable {
  public:
    // `address` is for the log; `mixer` may be null. A vanished client that the loop cannot tell about holds
    // its place for look_after_every at most.
    ClientTable(Loop& loop, Pool& pool, std::unique_ptr<Supply> supply, std::string address, Limits limits,
                Mixer* mixer = nullptr, Duration look_after_every = std::chrono::seconds(5));
    ~ClientTable(); // closes all

    // Takes in an accepted, non-blocking stream socket, or closes it when the limits say so.
    // Its link is sealed when there is a seal.
    void admit(Fd socket, const IpAddress& from = {}, std::unique_ptr<Seal> seal = {});
    // Takes one over that another process has let go of: as admit(), and goes on with what it is owed. False
    // when it is not taken.
    bool take_over(KeptClient kept);
    // All clients that can go on elsewhere, and are none here any more. Not from within one's turn.
    std::vector<KeptClient> let_go();
    std::size_t count_if(const std::function<bool(const Client&)>& counts) const;
    void close_if(const std::function<bool(const Client&)>& should_go);

    const Listener::Counters& counters() const { return counters_; }

    // For the clients.
    Supply& supply() { return *supply_; }
    bool local() const { return limits_.local; }
    Unsent& unsent() { return unsent_; }
    Listener::Counters& count() { return counters_; }
    void close(Client& client);            // destroys it
    void close_later(Client& client);      // the same, once the loop is back: for a client whose turn it is
    void watch_over_unwatched();           // asks from time to time whether one of them has vanished
    void garbage();                        // one broke the protocol
    void broken_seal(sealed::Fault fault); // one sent what is no message of its link
    void unwatchable();                    // the kernel watches no more sockets
    void written(ByteView bytes);          // one wrote them
    // How fast they may be served; null when nothing limits that.
    Pacer* pacer() { return pacer_ ? &*pacer_ : nullptr; }
    void hold(Client& client, std::size_t count); // its read waits for its rate
    void no_slot();                               // one did not read, and too many others do not either

    // Answers on their way to one send(): in use by one client at a time, empty in between.
    struct Batch {
        SecretBytes memory{Unsent::slot_size};
        std::size_t size = 0;
        ByteSpan room() { return memory.span().subspan(size); }
    };
    Batch& batch() { return batch_; }

  private:
    // Records come in blocks that stay where they are: watchers and turns point into them.
    static constexpr std::size_t block_size = 64;
    using Block = std::array<std::optional<Client>, block_size>;
    std::optional<Client>& cell(std::uint32_t index) {
        return (*blocks_[index / block_size])[index % block_size];
    }

    void close_lost();
    void forget(Client& client); // destroys it
    Client* enter(Fd socket, const IpAddress& from, std::unique_ptr<Seal> seal);
    bool may_come(int socket, const IpAddress& from);
    std::optional<std::uint32_t> free_place();
    void let_waiting_try();
    void pace();
    void close_quiet();
    void look_after_unwatched();

    Loop& loop_;
    Pool& pool_;
    std::unique_ptr<Supply> supply_;
    std::string address_;
    Limits limits_;
    Mixer* mixer_;
    Bucket mixed_;
    std::optional<Pacer> pacer_;
    Duration look_after_every_;
    Unsent unsent_;
    Batch batch_;
    Listener::Counters counters_;
    std::vector<std::unique_ptr<Block>> blocks_;
    std::vector<std::uint32_t> free_, lost_;
    Timer lost_timer_, unwatched_timer_, ready_timer_, pace_timer_, quiet_timer_;
    Throttle said_garbage_, said_full_, said_no_slot_, said_denied_, said_network_full_, said_delayed_,
        said_quiet_, said_unwatchable_, said_broken_;
};

} // namespace ekey
