// A socket on which clients ask for bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ekeyd/config/address.h"
#include "ekeyd/listeners/kept_client.h"
#include "ekeyd/listeners/mixer.h"
#include "ekeyd/listeners/sockets.h"
#include "ekeyd/listeners/wait_histogram.h"
#include "ekeyd/pool/pool.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/runtime/passed_sockets.h"
#include "ekeyd/sealed/node.h"
#include "protocol/result.h"

namespace ekey {

class Listener {
  public:
    struct Counters {
        std::uint64_t accepted = 0, refused = 0, closed = 0; // refused: for whatever reason, at once
        std::uint64_t denied = 0, network_full = 0; // of those refused: by a rule; too many of its network
        std::uint64_t requests = 0, bytes_served = 0, protocol_errors = 0;
        std::uint64_t delayed = 0;     // requests that had to wait for a rate
        std::uint64_t turned_away = 0; // requests told that there was nothing for them in time (pollen)
        std::uint64_t timed_out = 0;   // of those closed: idle, or without a first request
        std::uint64_t bytes_written = 0, bytes_mixed = 0; // by clients; of these, stirred in
        std::uint64_t clients = 0, waiting = 0;           // now; for the supply
        std::uint64_t held_back = 0;                      // now; for a rate
        WaitHistogram waits;                              // of blocking reads that had to wait for the supply

        Counters& operator+=(const Counters& more) {
            for (const auto each :
                 {&Counters::accepted, &Counters::refused, &Counters::closed, &Counters::denied,
                  &Counters::network_full, &Counters::requests, &Counters::bytes_served,
                  &Counters::protocol_errors, &Counters::delayed, &Counters::turned_away,
                  &Counters::timed_out, &Counters::bytes_written, &Counters::bytes_mixed, &Counters::clients,
                  &Counters::waiting, &Counters::held_back}) {
                this->*each += more.*each;
            }
            waits += more.waits;
            return *this;
        }
    };
    Listener() = default;
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    virtual ~Listener() = default; // closes its clients; removes a Unix socket that is still its own

    // Accepts clients from now on. The sockets are where its address says.
    virtual void listen(Sockets sockets) = 0;
    // Accepts no more, and hands its sockets on; those who were about to connect are the next one's.
    virtual Sockets cease() = 0;

    virtual const std::string& address() const = 0; // as it was given
    // Where it listens: "unix:/path", or "tcp:127.0.0.1:40001" with the port that the kernel chose for port 0
    // (of a name with several addresses, the first). Not after cease().
    virtual std::string bound_address() const = 0;
    virtual Counters counters() const = 0;

    // Whether what it has from files could be read again now; changes nothing. Errors as reload().
    virtual Result<void> check_files() const { return {}; }
    // Reads again what it has from files. Errors: what is wrong, and where; then nothing changes.
    virtual Result<void> reload() { return {}; }
    // Clients that can go on at another listener, here or in another process, each with what it is owed.
    // Those that stay are served on: who has not read its answers (no byte that left the pool goes
    // elsewhere), those of sealed links, whose keys never leave locked memory, and those of HTTP, who ask
    // again.
    virtual std::vector<KeptClient> let_go() { return {}; }
    // Serves one of them, within its limits, or closes it; false then.
    virtual bool take_over(KeptClient) { return false; }
    // Clients of sealed links have been told of fewer hosts than our noise has passed by now.
    virtual void on_path_grown() {}
};

// Says what is wrong with the text of an address, before anything is opened.
Result<void> check_listener(const config::Address& address);

// A listener that does not listen yet, or why it cannot be had (bad parameter, no such user, a file that it
// needs). Loop and pool must outlive it. Throws when no memory can be locked.
//
//     unix:/path[,mode=OCTAL][,user=NAME][,group=NAME]    mode 0600 by default
//     tcp:HOST:PORT                                       port 0: the kernel chooses
//     sealed:HOST:PORT,peers=FILE                         as tcp; rate= is a peer's (sealed_listener.h)
//     vsock:CID:PORT                                      CID a number, any, local or host
//     all: output=full-entropy|drbg, and the parameters of listener_limits.h
//     with output=drbg: max-age=SECONDS (3600), prediction-resistance=yes|no
//
// `mixer` takes what clients write when the address says accept-writes=mix; null: it is dropped. `node` gives
// this host's key, and is asked for it by a sealed listener only.
Result<std::unique_ptr<Listener>> prepare_listener(Loop& loop, Pool& pool, const config::Address& address,
                                                   Mixer* mixer = nullptr,
                                                   const std::function<Result<SealedNode*>()>& node = {});

// Binds and listens where the address says, or says why not (in use, not permitted). A host name is looked up
// here, and waited for; while the loop runs, it is refused instead. Sockets that were passed are lent to the
// address's text.
Result<Sockets> open_sockets(const Loop& loop, const config::Address& address,
                             PassedSockets* passed = nullptr);
Result<Sockets> open_sockets(const Loop& loop, const config::HostPort& where, const PassedTo& passed);

// What the sockets at `from` need to be those at `to`, which is the same place: a Unix socket's mode, user
// and group. Errors: that may not be; then nothing has changed.
Result<void> change_access(Sockets& sockets, const config::Address& from, const config::Address& to);

// All of it: a listener that listens.
Result<std::unique_ptr<Listener>> make_listener(Loop& loop, Pool& pool, const config::Address& address,
                                                Mixer* mixer = nullptr,
                                                const std::function<Result<SealedNode*>()>& node = {},
                                                PassedSockets* passed = nullptr);

} // namespace ekey
