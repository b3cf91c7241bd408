// The server's side of the handshake; then the link is a Transport. Use:
//
//     what comes goes to receive(); after `asked`, look up client(), and either close without a word or send
//     answer(); then transport() reads the rest of what has come.
//
// A recorded first message can be sent again by anyone, so the client is known for sure only when the
// transport has read its first message. It holds keys: whoever keeps one keeps it in locked memory.
#pragma once

#include "protocol/sealed/hello.h"
#include "protocol/sealed/transport.h"

namespace ekey::sealed {

class Responder {
  public:
    // `self` is borrowed and outlives the handshake.
    explicit Responder(const KeyPair& self);

    enum class Event : Byte { need_more, asked, fault };
    struct Step {
        std::size_t used = 0; // of the input; never beyond the handshake's message
        Event event = Event::need_more;
        Fault fault = Fault::none;
    };
    Step receive(ByteView in);
    Fault at_end() const { return fault_ != Fault::none ? fault_ : Fault::truncated; }

    // After `asked`.
    const PublicKey& client() const { return handshake_.remote(); }
    const Hello& hello() const { return hello_; } // the client's; no path unless it is a relay
    bool plain() const {
        return handshake_.is_other();
    } // it speaks Noise and EGD, and nothing of this project

    static constexpr std::size_t max_answer = length_size + Handshake::second_overhead + Hello::max_size;
    // Writes the handshake's second message, at most max_answer bytes, whose payload is empty for a plain
    // client. None: the client's key is of low order.
    std::optional<std::size_t> answer(const Hello& hello, const SecretKey& random, Time now, ByteSpan out);
    // After answer().
    Transport transport(Time now) const { return {handshake_.split(), !plain(), now}; }

  private:
    Step refuse(std::size_t used, Fault fault);

    const KeyPair* self_;
    Fault fault_ = Fault::none;
    MessageReader reader_;
    Handshake handshake_;
    Hello hello_;
};

} // namespace ekey::sealed
