// A blocking EGD client of a benchmark, in clear or sealed, and the keys of both ends.
#pragma once

#include <string>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/secret.h"
#include "protocol/sealed/initiator.h"

namespace ekey::bench {

sealed::KeyPair random_key_pair();

class SealedClient {
  public:
    // Connects to 127.0.0.1:`port` from 127.`from` (any number below 2^24; a server limits handshakes by
    // address), and sends nothing. Without `server` the link is clear. `self` is borrowed. Throws when it
    // cannot connect.
    SealedClient(std::uint16_t port, std::uint32_t from, const sealed::KeyPair& self,
                 const sealed::PublicKey* server);

    // Sends the first `size` bytes of the handshake's first message, all by default.
    void greet(std::size_t size = sealed::Initiator::max_opening);
    void shake_hands(); // greets, waits for the answer, and shows with a message that it is no recording
    bool is_closed();   // waits for a byte or the end: true for the end

    void ask(std::size_t requests); // for 255 bytes each
    void take(std::size_t size);    // exactly so many bytes, in as many reads as it takes

  private:
    void send(ByteView bytes);
    ByteView receive();

    Fd socket_;
    Locked<sealed::Initiator> link_; // null: clear
    SecretBytes received_, plaintext_;
    std::size_t kept_ = 0; // of plaintext: more than take() was asked for
};

} // namespace ekey::bench
