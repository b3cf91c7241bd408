// A sealed link once its handshake is done: plaintext in, messages out, and back. What flows is plain EGD.
#pragma once

#include "protocol/sealed/handshake.h"
#include "protocol/sealed/reader.h"

namespace ekey::sealed {

class Transport {
  public:
    // A message's plaintext. What a server hands to one send(); a client's requests are far shorter.
    static constexpr std::size_t longest = 2048;
    static constexpr std::size_t overhead = length_size + tag_size;

    // How old a link gets. Who opened it opens another one after the first, and the server ends it after the
    // second. Ten minutes of what a slice gets is what a static key that is stolen together with the memory
    // of that moment gives away; the handshake costs a fraction of a millisecond.
    static constexpr Duration renew_after = std::chrono::minutes(10);
    static constexpr Duration end_after = std::chrono::minutes(20);

    // With `rekeying`, each message has a key of its own.
    Transport(const Handshake::Ciphers& ciphers, bool rekeying, Time opened)
        : sending_(ciphers.sending), receiving_(ciphers.receiving), rekeying_(rekeying), opened_(opened),
          reader_(longest + tag_size) {}

    // Writes one message of at most `longest` bytes with its length, plaintext.size() + overhead bytes, and
    // returns that; 0 when the nonces are used up. `plaintext` may be in `out` already, from its third byte
    // on.
    std::size_t seal(ByteView plaintext, ByteSpan out);

    enum class Event : Byte { need_more, bytes, fault };
    struct Step {
        std::size_t used = 0; // of the input
        Event event = Event::need_more;
        ByteView bytes; // a view of `out`; may be empty
        Fault fault = Fault::none;
    };
    // Consumes at most one message and writes its plaintext to `out`, which has room for `longest` bytes.
    // Call until need_more or fault. After a fault the link is to be closed, and nothing more is read.
    Step receive(ByteView in, ByteSpan out);
    // What it means that the connection ends here.
    Fault at_end() const { return reader_.within() ? Fault::truncated : Fault::none; }

    Time opened() const { return opened_; }

  private:
    Cipher sending_, receiving_;
    bool rekeying_;
    Fault fault_ = Fault::none;
    Time opened_;
    MessageReader reader_;
};

} // namespace ekey::sealed
