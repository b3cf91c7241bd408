// What stands between a client and its socket when its link is sealed: calls like recv(2) and send(2), of
// plaintext.
#pragma once

#include <vector>

#include <sys/types.h>

#include "ekeyd/runtime/locked_slots.h"
#include "protocol/sealed/transport.h"

namespace ekey {

class Seal {
  public:
    using Transports = LockedSlots<sealed::Transport>;

    // `key` is the peer's. `plaintext` and `received` have come with the end of the handshake: what was
    // opened already, and what was not.
    Seal(Transports::Owned transport, const sealed::PublicKey& key, ByteView plaintext, ByteView received);
    ~Seal();

    // As recv(2): 0 at the end of the stream, and when the link is too old; -1 and errno otherwise. EBADMSG:
    // fault() says what was wrong with a message.
    ssize_t read(int socket, ByteSpan into, Time now);
    // There is more to read, or to be told by read(), although the socket may have nothing.
    bool has_input() const { return given_ < plaintext_.size() || fault_ != sealed::Fault::none; }

    // As send(2): takes all of `bytes`, at most Transport::longest, or none (EAGAIN). What the socket does
    // not take yet is kept here, sealed.
    ssize_t write(int socket, ByteView bytes);
    bool has_output() const { return !sealed_.empty(); }
    bool flush(int socket); // sends what is kept; false: the connection is lost

    // It is to be ended: it has been open for Transport::end_after.
    bool is_old(Time now) const { return now - transport_->opened() >= sealed::Transport::end_after; }

    sealed::Fault fault() const { return fault_; }
    const sealed::PublicKey& key() const { return key_; }

  private:
    bool open(ByteView received);

    Transports::Owned transport_;
    sealed::PublicKey key_;
    std::vector<Byte> plaintext_; // requests; what was received in one go at most
    std::size_t given_ = 0;       // of plaintext_
    std::vector<Byte> sealed_;    // one message at most
    sealed::Fault fault_ = sealed::Fault::none;
};

} // namespace ekey
