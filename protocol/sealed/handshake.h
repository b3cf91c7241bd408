// The IK handshake of the Noise specification, revision 34 (sections 5.3 and 7.5): bytes of its two messages
// in and out, without their lengths. initiator.h and responder.h put it to use.
//
//     IK:  <- s   ...   -> e, es, s, ss   <- e, ee, se
#pragma once

#include <optional>

#include "protocol/sealed/fault.h"
#include "protocol/sealed/symmetric.h"

namespace ekey::sealed {

inline constexpr std::string_view protocol_name = "Noise_IK_25519_ChaChaPoly_BLAKE2b";

class Handshake {
  public:
    // Bytes of each message beside its payload.
    static constexpr std::size_t first_overhead = key_size + (key_size + tag_size) + tag_size;
    static constexpr std::size_t second_overhead = key_size + tag_size;

    // `self` is borrowed and outlives the handshake.
    static Handshake initiator(const KeyPair& self, const PublicKey& responder, ByteView prologue);
    static Handshake responder(const KeyPair& self, ByteView prologue);
    // For a responder, before the first message: takes initiators with this prologue too. The first key does
    // not depend on the prologue, which is only authenticated with the initiator's encrypted static key, so
    // that telling one from the other repeats no exchange. Each side then goes on with the prologue that the
    // initiator has, and nobody between can make it another.
    void allow(ByteView prologue);
    // The one of allow() is the initiator's. Valid after the first message.
    bool is_other() const { return is_other_; }

    // Writes the message that is next, which must be one's own, and returns its size, payload.size() + its
    // overhead. `ephemeral` is a fresh secret. None when an exchange fails (Fault::weak_key).
    std::optional<std::size_t> write(ByteView payload, const SecretKey& ephemeral, ByteSpan out);

    // Reads the message that is next, which must be the other's. `payload` has room for message.size() bytes,
    // and gets `size` of them. After a fault the handshake is over and its keys are erased.
    struct Read {
        Fault fault = Fault::none;
        std::size_t size = 0;
    };
    Read read(ByteView message, ByteSpan payload);

    bool complete() const { return next_ == 2; }
    // The other side's static key: the initiator's is known after the first message.
    const PublicKey& remote() const { return remote_static_; }
    const Hash& hash() const { return symmetric_.hash(); }

    // When it is complete: for what is sent, and for what is received.
    struct Ciphers {
        Cipher sending, receiving;
    };
    Ciphers split() const;

  private:
    enum class Token : Byte { e, s, ee, es, se, ss };
    static std::span<const Token> pattern(std::size_t message);

    Handshake(bool initiator, const KeyPair& self, const PublicKey& responder, ByteView prologue);
    bool mix_exchange(Token token);
    Fault read_token(Token token, ByteView& message);
    bool read_static(ByteView sealed);

    bool initiator_;
    const KeyPair* self_;
    Symmetric symmetric_;
    KeyPair ephemeral_;
    PublicKey remote_static_{}, remote_ephemeral_{};
    PublicKey responder_;            // whose key both sides know beforehand
    std::optional<Hash> other_hash_; // with the prologue of allow(), until it is known which one it is
    bool is_other_ = false;
    std::size_t next_ = 0; // message
};

} // namespace ekey::sealed
