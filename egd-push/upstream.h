// One EGD server that is asked for bytes: connects, asks, and waits for the whole answer or says why not.
// It does not try again by itself; the connection is kept for the next time.
#pragma once

#include "egd-push/link.h"
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

class Upstream final : private LinkOwner {
  public:
    // `address` has passed check_upstream(); `bytes` is 1..4096, fetched with blocking reads of at most 255.
    // `self` is this host's key for a sealed: address, borrowed.
    Upstream(Loop& loop, UpstreamOwner& owner, const config::Address& address, std::size_t bytes,
             Duration timeout, const sealed::KeyPair* self);

    // Fetches a new answer; the owner hears of it exactly once, within the timeout, perhaps before this
    // returns. Only when it is not busy. The owner may not destroy the upstream from that call.
    void ask();
    bool busy() const { return busy_; }

    const config::Address& address() const { return address_; }
    // What was fetched, in locked memory, until forget() or the next ask(); empty when there is nothing.
    ByteView answer() const { return complete_ ? answer_.span().first(bytes_) : ByteView{}; }
    void forget();

    // Of the server that answered: as Link.
    const sealed::PublicKey* server_key() const { return link_.server_key(); }
    unsigned credit_advice() const { return link_.credit_advice(); }

  private:
    void on_open() override;
    void on_bytes(ByteView bytes) override;
    // Once more if it was an old connection; else fails.
    void on_lost(const std::string& why) override;
    bool is_device() const { return address_.kind == "char"; }
    void send_requests();
    void complete();
    void on_timeout();
    void break_off(const std::string& why);
    void fail_with(const std::string& why);

    UpstreamOwner& owner_;
    config::Address address_;
    std::size_t bytes_;
    Duration timeout_;

    Link link_;
    Timer deadline_;
    Time deadline_at_{};
    egd::AnswerReader reader_;
    SecretBytes answer_;
    std::size_t received_ = 0;
    bool busy_ = false, complete_ = false;
    bool reused_ = false; // asked on a connection from before, which may have died unnoticed
};

} // namespace ekey
