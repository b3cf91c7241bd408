// One EGD server that is asked for bytes: connects, asks, and waits for the whole answer or says why not.
// It does not try again by itself; the connection is kept for the next time.
#pragma once

#include "egd-push/resolver.h"
#include "ekeyd/config/address.h"
#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/secret.h"
#include "protocol/egd/client.h"

namespace ekey {

class Upstream;

class UpstreamOwner {
  public:
    // The answer is whole: upstream.answer().
    virtual void on_answer(Upstream& upstream) = 0;
    // `why` is one clause for a person, without the upstream's address.
    virtual void on_failure(Upstream& upstream, const std::string& why) = 0;

  protected:
    ~UpstreamOwner() = default;
};

class Upstream final : private ResolverOwner {
  public:
    // Whether this build can reach such an address: unix:/PATH and tcp:HOST:PORT.
    static Result<void> check(const config::Address& address);

    // `address` has passed check(); `bytes` is 1..4096, fetched with blocking reads of at most 255.
    Upstream(Loop& loop, UpstreamOwner& owner, const config::Address& address, std::size_t bytes,
             Duration timeout);

    // Fetches a new answer; the owner hears of it exactly once, within the timeout, perhaps before this
    // returns. Only when it is not busy. The owner may not destroy the upstream from that call.
    void ask();
    bool busy() const { return busy_; }

    const config::Address& address() const { return address_; }
    // What was fetched, in locked memory, until forget() or the next ask(); empty when there is nothing.
    ByteView answer() const { return complete_ ? answer_.span().first(bytes_) : ByteView{}; }
    void forget();

  private:
    void on_resolved(Result<SocketAddresses> addresses) override;
    void connect();
    void try_next_address();
    void on_connected();
    void send_requests();
    void on_io(int events);
    void read_answer();
    void on_attempt_timeout();
    void on_timeout();
    void lost(const std::string& why); // the connection broke: once more if it was an old one, else fail
    void fail_with(const std::string& why);
    void disconnect();
    Duration left() const;

    UpstreamOwner& owner_;
    config::Address address_;
    std::size_t bytes_;
    Duration timeout_;

    Resolver resolver_;
    SocketAddresses addresses_; // still to be tried, the next one last
    std::string last_error_;

    Fd fd_;
    IoWatcher io_;
    Timer deadline_, attempt_;
    Time deadline_at_{};
    egd::AnswerReader reader_;
    SecretBytes answer_; // and one byte more, which shows a server that sends too much
    std::size_t received_ = 0;
    bool busy_ = false, connecting_ = false, complete_ = false;
    bool reused_ = false; // asked on a connection from before, which may have died unnoticed
};

} // namespace ekey
