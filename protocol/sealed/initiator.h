// The client's side of a sealed link, from its first byte to its last. Use:
//
//     open() gives the first bytes to send; all that comes back goes to receive(); after `opened`, seal()
//     what is to be sent. A link that is older than Transport::renew_after is to be replaced by a new one.
//
// It holds keys: whoever keeps one keeps it in locked memory.
#pragma once

#include "protocol/sealed/hello.h"
#include "protocol/sealed/transport.h"

namespace ekey::sealed {

class Initiator {
  public:
    // `self` is borrowed and outlives the link.
    Initiator(const KeyPair& self, const PublicKey& server);

    static constexpr std::size_t max_opening = length_size + Handshake::first_overhead + Hello::max_size;
    // Writes the handshake's first message, at most max_opening bytes. `random` is of the system's generator.
    // No hello, or an empty path: a client that is no relay. None: the server's public key is of low order.
    std::optional<std::size_t> open(const Hello* hello, const SecretKey& random, Time now, ByteSpan out);

    enum class Event : Byte {
        need_more, // all of the input is used up
        opened,    // the server has proved that it has its key: server() tells about it
        bytes,     // `bytes` came sealed
        fault,     // close the connection
    };
    struct Step {
        std::size_t used = 0; // of the input
        Event event = Event::need_more;
        ByteView bytes; // a view of `out`
        Fault fault = Fault::none;
    };
    // Consumes at most one message. `out` has room for Transport::longest bytes. Call until need_more or
    // fault. A server whose noise would loop or has come too far is a fault.
    Step receive(ByteView in, Time now, ByteSpan out);
    // What it means that the server ends the connection here: truncated, or none (between messages).
    Fault at_end() const;

    bool is_open() const { return transport_.has_value(); }
    // When it is open. As Transport::seal().
    std::size_t seal(ByteView plaintext, ByteSpan out) { return transport_->seal(plaintext, out); }
    Time opened() const { return transport_->opened(); }
    const Hello& server() const { return server_hello_; } // its path begins with the server's key

  private:
    Step receive_answer(ByteView in, Time now);
    Step refuse(std::size_t used, Fault fault);

    const KeyPair* self_;
    Fault fault_ = Fault::none;
    MessageReader reader_; // of the handshake
    std::optional<Handshake> handshake_;
    std::optional<Transport> transport_;
    Hello server_hello_;
};

} // namespace ekey::sealed
