// Answers clients of pollen with seeds: 64 bytes of the supply for each answer, which nobody else ever gets.
//
//     [idle] --- a request ---> is there enough? --- yes ---> [served] --- it is sent ---> [idle]
//        |                        |        ^
//        | its rate does not      |        | it does
//        | allow it yet           v no     |
//        +----> [held back] ------|--------+
//                   |         [waiting] --- its turn ---> [served]
//                   |             |
//                   +-------------+--- for too long ---> [turned away] --- it is told ---> closed
//
// While it is held back or waits, its request is set aside, and nothing is read of it.
#pragma once

#include <functional>
#include <list>
#include <optional>
#include <vector>

#include "ekeyd/http/engine.h"
#include "ekeyd/http/pollen_http.h"
#include "ekeyd/listeners/listener.h"
#include "ekeyd/listeners/listener_limits.h"
#include "ekeyd/listeners/output.h"
#include "ekeyd/listeners/pacer.h"
#include "ekeyd/listeners/throttle.h"
#include "ekeyd/runtime/locked_slots.h"
#include "protocol/pollen/pollen.h"

namespace ekey::http {

class PollenClient;

class PollenService final : public Handler {
  public:
    struct Options {
        ekey::Limits limits;
        std::optional<DrbgOptions> drbg;
        // How long a request may wait, for its rate and for the supply together. pollinate waits 10 s as
        // Debian has it, and gives up without a word then; so it is told before.
        Duration wait = std::chrono::seconds(8);
    };
    // `address` is for the log; `mixer` takes challenges when the limits say so, and may be null. All that is
    // handed in must outlive it, and it must outlive its connections.
    PollenService(const Library& library, Loop& loop, Pool& pool, std::string address, const Options& options,
                  Mixer* mixer);
    ~PollenService();
    PollenService(const PollenService&) = delete;
    PollenService& operator=(const PollenService&) = delete;

    // Nobody waits any more: to be called before its connections go.
    void close();

    // A place for a client that comes from there; nothing, when as many of its network are there as may be.
    using Place = std::uint32_t;
    std::optional<Place> enter(const IpAddress& from);
    // It goes without having been connected.
    void leave(Place place);
    // Hands the client's socket to an engine, whose handler this is. `on_shown` is called once, when the
    // client has sent the head of a request, or has gone.
    void connect(Engine& engine, Fd socket, Place place, std::function<void()> on_shown = {});

    // Of its clients; those that were refused before are not among them.
    const Listener::Counters& counters() const { return counters_; }

  private:
    friend class PollenClient;
    // A seed and what is sent of it.
    struct Answer {
        std::array<Byte, pollen::seed_size> seed;
        std::array<char, pollen::answer_size> text;
    };
    using Slots = LockedSlots<Answer>;
    using Line = std::list<PollenClient*>;

    void on_connected(Connection& connection) override;
    void on_head(Connection& connection) override;
    std::size_t longest_body(const Connection& connection) override;
    void on_request(Connection& connection) override;
    void on_over(Connection& connection) override;
    void on_disconnected(Connection& connection) override;

    static void shown(PollenClient& client);
    void begin(Connection& connection, PollenClient& client);
    void stir(std::string_view challenge);
    void set_aside(PollenClient& client);
    bool fetch(PollenClient& client);
    void served(PollenClient& client, Claim claim);
    void turn_away(PollenClient& client);
    void carry_on(PollenClient& client);
    void finish(Connection& connection, PollenClient& client);
    void clear(PollenClient& client);
    void say(Connection& connection, unsigned status);
    void let_waiting_try();
    void pace();
    void end_waits();

    const Library& library_;
    Pool& pool_;
    std::string address_;
    Options options_;
    Mixer* mixer_;
    Bucket mixed_;
    std::unique_ptr<Supply> supply_;
    std::optional<Pacer> pacer_;
    Slots slots_;
    Listener::Counters counters_;
    std::vector<PollenClient*> clients_; // by place; null: free, or not connected yet
    std::vector<Place> free_;
    std::unique_ptr<PollenClient> coming_; // is being connected
    Line line_;                            // those set aside, by when they are turned away
    Timer ready_timer_, pace_timer_, wait_timer_;
    PollenRefusals refusals_;
    Throttle said_delayed_, said_turned_away_, said_network_full_, said_no_memory_;
};

// One connection, and the request on it.
class PollenClient final : public Connection::Data, public Taker {
  public:
    PollenClient(PollenService& service, PollenService::Place place, std::function<void()> on_shown,
                 bool local)
        : service_(service), id_(place), on_shown_(std::move(on_shown)) {
        set_local(local);
    }

  private:
    friend class PollenService;
    enum class State : Byte { idle, held_back, waiting, served, turned_away };

    std::size_t wanted() const override { return service_.supply_->cost(pollen::seed_size); }
    bool serve(Pool& pool) override;

    PollenService& service_;
    Connection* connection_ = nullptr; // null before it is connected
    PollenService::Place id_;
    std::function<void()> on_shown_;
    State state_ = State::idle;
    unsigned status_ = 0; // when it is turned away
    std::string challenge_;
    PollenService::Slots::Owned answer_{nullptr, {nullptr}};
    Time waits_since_{}, until_{};
    std::optional<PollenService::Line::iterator> place_; // in the line
};

} // namespace ekey::http
