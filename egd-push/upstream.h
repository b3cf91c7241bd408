// One EGD server that is asked for bytes: connects, asks, and waits for the whole answer or says why not.
// It does not try again by itself; the connection is kept for the next time.
#pragma once

#include "egd-push/connection.h"
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

class Upstream final : private ConnectionOwner {
  public:
    // `address` has passed check_upstream(); `bytes` is 1..4096, fetched with blocking reads of at most 255.
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
    void on_connected() override;
    void on_unable(const std::string& why) override { fail_with(why); }
    bool is_device() const { return address_.kind == "char"; }
    bool discard_stale();
    void send_requests();
    void on_readable(int events);
    void complete();
    void on_timeout();
    void lost(const std::string& why); // the connection broke: once more if it was an old one, else fail
    void fail_with(const std::string& why);
    void disconnect();

    UpstreamOwner& owner_;
    config::Address address_;
    std::size_t bytes_;
    Duration timeout_;

    Connection connection_;
    IoWatcher io_;
    Timer deadline_;
    Time deadline_at_{};
    egd::AnswerReader reader_;
    SecretBytes answer_; // and one byte more, which shows a server that sends too much
    std::size_t received_ = 0;
    bool busy_ = false, complete_ = false;
    bool reused_ = false; // asked on a connection from before, which may have died unnoticed
};

} // namespace ekey
