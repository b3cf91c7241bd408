// Another host's ekeyd, or any EGD server, as a source. It asks only while our pool wants bytes, a few
// requests ahead, and keeps connecting while the server is away.
#pragma once

#include <optional>
#include <string>

#include "egd-push/connection.h"
#include "egd-push/pace.h"
#include "ekeyd/runtime/secret.h"
#include "ekeyd/sealed/node.h"
#include "ekeyd/sources/source.h"
#include "protocol/egd/client.h"
#include "protocol/sealed/initiator.h"

namespace ekey {

class UpstreamSource final : public Source, private ConnectionOwner {
  public:
    struct Options {
        config::Address where; // unix:/PATH or tcp:HOST:PORT
        std::string path;      // what lists and logs show
        double min_entropy = 0;
        bool claimed = false;                    // the owner has said min-entropy=
        std::optional<sealed::PublicKey> server; // whose key it must have: a sealed link
        SealedNode* node = nullptr;              // with `server`
        Duration renew_after = sealed::Transport::renew_after;
    };
    UpstreamSource(Loop& loop, Options options);
    ~UpstreamSource() override;

    Result<void> start(SourceOwner& owner, bool must_open) override; // never waits, so it never fails
    void pause(bool on) override;
    void reset() override;
    SourceStatus status() const override;
    void add_statistics(Statistics& out) const override;
    double default_min_entropy() const override { return options_.min_entropy; }
    // What a sealed server advises to credit, unless the owner has said otherwise.
    double most_min_entropy() const override;

    // Requests in flight, of 255 bytes each: at a round trip of 50 ms they bring 40 kB a second, far more
    // than the dongle at its end. When half of them are answered as many more are asked for.
    static constexpr std::size_t most_asked = 8;

  private:
    void on_connected() override;
    void on_unable(const std::string& why) override { lost(why); }
    void connect();
    void disconnect();
    void shake_hands();
    void opened();
    void ask();
    bool send(ByteView bytes);
    void on_readable(int events);
    bool receive_sealed(ByteView received);
    bool take(ByteView answers);
    void on_attempt_over();
    void on_retry();
    void on_renewal();
    void lost(const std::string& why);
    std::string closed_by_server() const;

    Options options_;
    SourceOwner* owner_ = nullptr;
    Connection connection_;
    IoWatcher io_;
    Timer attempt_, retry_, renewal_;
    Schedule schedule_{Duration::zero()};
    egd::AnswerReader reader_;
    Locked<sealed::Initiator> link_; // when it is sealed and connected
    SecretBytes received_, plaintext_;
    bool open_ = false, paused_ = false;
    bool renewing_ = false; // the link is old: it is replaced when its answers have come
    bool resuming_ = false; // that is being done: the session goes on
    std::string trouble_;
    std::uint64_t bytes_read_ = 0, sessions_ = 0;
    Time opened_{};
};

} // namespace ekey
