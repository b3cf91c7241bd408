// Bytes to and from an upstream, in clear or through a sealed link.
#pragma once

#include <optional>

#include "egd-push/connection.h"
#include "ekeyd/runtime/secret.h"
#include "protocol/sealed/initiator.h"

namespace ekey {

class LinkOwner {
  public:
    virtual void on_open() = 0;
    // In locked memory, and wiped when this returns.
    virtual void on_bytes(ByteView bytes) = 0;
    // It could not be opened, or it was open and has broken; close() has been done. `why` is one clause for a
    // person, without the address.
    virtual void on_lost(const std::string& why) = 0;

  protected:
    ~LinkOwner() = default;
};

class Link final : private ConnectionOwner {
  public:
    // `address` has passed check_upstream(). `self` is this host's key, borrowed; only a sealed: address
    // needs it, the others ignore it.
    Link(Loop& loop, LinkOwner& owner, const config::Address& address, const sealed::KeyPair* self);

    // on_open() or on_lost() follows, perhaps before this returns, unless close() comes first. Time is kept
    // by the owner: `deadline` is for sharing it among the addresses of a name.
    void open(Time deadline);
    void close(); // the owner hears nothing of it
    bool is_open() const { return open_; }
    // A sealed link of that age is to be opened anew, so that its keys do not live long.
    bool is_old() const;

    // What it has been waiting for since open(), as Connection; null when it is open.
    const char* waits_for() const;

    // At most longest_request bytes, when it is open. The error is one clause.
    Result<void> send(ByteView bytes);
    static constexpr std::size_t longest_request = 64;

    // The server's public key, which it has proved to have when the link is open; null when not sealed.
    const sealed::PublicKey* server_key() const { return sealed_ ? &sealed_->server_key : nullptr; }
    // The credit in bits a byte that the server advises, 8 when it advises none. Valid once it was open.
    unsigned credit_advice() const { return advice_; }

  private:
    struct Sealed {
        const sealed::KeyPair& self;
        sealed::PublicKey server_key;
        Locked<std::optional<sealed::Initiator>> initiator;
    };

    void on_connected() override;
    void on_unable(const std::string& why) override { lost(why); }
    void shake_hands();
    bool discard_stale();
    void on_readable(int events);
    void receive_sealed(ByteView in);
    void opened();
    Result<void> write(ByteView bytes);
    std::string why_ended() const;
    void lost(const std::string& why);

    LinkOwner& owner_;
    bool is_device_;
    std::optional<Sealed> sealed_;
    Connection connection_;
    IoWatcher io_;
    SecretBytes room_; // what is read, or the plaintext of a sealed message
    bool open_ = false;
    unsigned advice_ = 8;
    unsigned closed_ = 0; // times: tells a function that the owner has closed the link meanwhile
};

} // namespace ekey
