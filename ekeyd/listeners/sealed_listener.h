// A listener for sealed links: it shakes hands with those that its peers file knows, and then they are
// clients like all others.
#pragma once

#include <map>
#include <optional>

#include "ekeyd/listeners/client_table.h"
#include "ekeyd/listeners/greeting.h"
#include "ekeyd/listeners/handshake_limits.h"
#include "ekeyd/listeners/peers.h"
#include "ekeyd/listeners/socket_listener.h"
#include "ekeyd/sealed/node.h"

namespace ekey {

class SealedListener final : public SocketListener, GreetingOwner {
  public:
    struct Options {
        std::string peers_file;
        Limits limits; // its rate is a peer's
        std::optional<DrbgOptions> drbg;
        Mixer* mixer = nullptr;
    };
    SealedListener(Loop& loop, Pool& pool, const config::Address& address, Options options, Peers peers,
                   SealedNode& node);
    ~SealedListener() override;

    Counters counters() const override;
    // Peers that are gone, or whose options are others now, are closed; they may come again.
    Result<void> check_files() const override;
    Result<void> reload() override;
    void on_path_grown() override;
    // Ends links that are old at that time, also those that nothing comes over. Called once a minute.
    void end_old(Time now);

    static constexpr std::chrono::seconds default_handshake{10};
    // A peer has one link, two while it renews it, and perhaps some that are dead without our knowledge.
    static constexpr std::size_t links_of_peer = 8;

  private:
    void on_accepted(Fd socket, const IpAddress& from) override;
    const sealed::Hello* on_asked(const Greeting& greeting, const sealed::PublicKey& key) override;
    void on_known(Greeting& greeting, Fd socket, std::unique_ptr<Seal> seal) override;
    void on_over(Greeting& greeting, const char* why) override;
    void remove(Greeting& greeting);
    void on_minute();
    void refuse(const char* why, const IpAddress& from, Throttle& said);
    ClientTable& table_for(const Peer& peer);
    std::size_t clients() const;
    std::size_t links_of(const sealed::PublicKey& key) const;

    Loop& loop_;
    Pool& pool_;
    Options options_;
    Peers peers_;
    SealedNode& node_;
    Greeting::Responders responders_; // these two before those whose keys are in them
    Seal::Transports transports_;
    HandshakeLimits handshakes_;
    Counters own_; // of what came to no table
    std::map<std::pair<bool, std::uint64_t>, std::unique_ptr<ClientTable>> tables_; // by drbg and rate
    std::vector<std::unique_ptr<Greeting>> greetings_;
    sealed::Hello told_; // for the one that is being answered
    Throttle said_unknown_, said_failed_, said_limit_;
    Timer minute_;
};

} // namespace ekey
