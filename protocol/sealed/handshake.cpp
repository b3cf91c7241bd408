#include "protocol/sealed/handshake.h"

#include <cassert>

namespace ekey::sealed {

std::span<const Handshake::Token> Handshake::pattern(std::size_t message) {
    using enum Token;
    static constexpr Token first[] = {e, es, s, ss};
    static constexpr Token second[] = {e, ee, se};
    return message == 0 ? std::span<const Token>(first) : std::span<const Token>(second);
}

Handshake::Handshake(bool initiator, const KeyPair& self, const PublicKey& responder, ByteView prologue)
    : initiator_(initiator), self_(&self), symmetric_(protocol_name), responder_(responder) {
    symmetric_.mix_hash(prologue);
    symmetric_.mix_hash(responder);
}

Handshake Handshake::initiator(const KeyPair& self, const PublicKey& responder, ByteView prologue) {
    Handshake made(true, self, responder, prologue);
    made.remote_static_ = responder;
    return made;
}

Handshake Handshake::responder(const KeyPair& self, ByteView prologue) {
    return {false, self, self.public_key, prologue};
}

void Handshake::allow(ByteView prologue) {
    assert(!initiator_ && next_ == 0);
    Symmetric other(protocol_name);
    other.mix_hash(prologue);
    other.mix_hash(responder_);
    other_hash_ = other.hash();
}

// Section 7.1: the first letter is the initiator's key, the second the responder's.
bool Handshake::mix_exchange(Token token) {
    const bool own_ephemeral = token == Token::ee || token == (initiator_ ? Token::es : Token::se);
    const bool other_ephemeral = token == Token::ee || token == (initiator_ ? Token::se : Token::es);
    SecretKey shared;
    if (!exchange(own_ephemeral ? ephemeral_.secret : self_->secret,
                  other_ephemeral ? remote_ephemeral_ : remote_static_, shared)) {
        return false;
    }
    symmetric_.mix_key(shared);
    return true;
}

std::optional<std::size_t> Handshake::write(ByteView payload, const SecretKey& ephemeral, ByteSpan out) {
    assert(next_ == (initiator_ ? 0u : 1u));
    assert(out.size() >= payload.size() + (initiator_ ? first_overhead : second_overhead));
    ephemeral_ = key_pair(ephemeral);
    std::size_t size = 0;
    const auto seal = [&](ByteView plaintext) {
        const std::size_t sealed = plaintext.size() + symmetric_.overhead();
        symmetric_.encrypt_and_hash(plaintext, out.subspan(size, sealed));
        size += sealed;
    };
    for (const Token token : pattern(next_)) {
        if (token == Token::e) {
            std::memcpy(out.data() + size, ephemeral_.public_key.data(), key_size);
            symmetric_.mix_hash(ephemeral_.public_key);
            size += key_size;
        } else if (token == Token::s) {
            seal(self_->public_key);
        } else if (!mix_exchange(token)) {
            return std::nullopt;
        }
    }
    seal(payload);
    ++next_;
    return size;
}

bool Handshake::read_static(ByteView sealed) {
    if (symmetric_.decrypt_and_hash(sealed, remote_static_)) {
        other_hash_.reset();
        return true;
    }
    if (!other_hash_) {
        return false;
    }
    symmetric_.set_hash(*other_hash_);
    other_hash_.reset();
    is_other_ = true;
    return symmetric_.decrypt_and_hash(sealed, remote_static_);
}

Fault Handshake::read_token(Token token, ByteView& message) {
    const auto take = [&](std::size_t size) {
        const ByteView front = message.first(size);
        message = message.subspan(size);
        return front;
    };
    if (token == Token::e) {
        const ByteView key = take(key_size);
        std::memcpy(remote_ephemeral_.data(), key.data(), key_size);
        symmetric_.mix_hash(key);
        if (other_hash_) {
            other_hash_ = hash_of(*other_hash_, key);
        }
        return Fault::none;
    }
    if (token == Token::s) {
        return read_static(take(key_size + symmetric_.overhead())) ? Fault::none : Fault::forged;
    }
    return mix_exchange(token) ? Fault::none : Fault::weak_key;
}

Handshake::Read Handshake::read(ByteView message, ByteSpan payload) {
    assert(next_ == (initiator_ ? 1u : 0u) && payload.size() >= message.size());
    const auto refuse = [this](Fault fault) {
        symmetric_ = Symmetric(protocol_name);
        ephemeral_ = KeyPair();
        next_ = 3; // neither message, nor complete
        return Read{fault, 0};
    };
    if (message.size() < (initiator_ ? second_overhead : first_overhead)) {
        return refuse(Fault::too_short);
    }
    for (const Token token : pattern(next_)) {
        if (const Fault fault = read_token(token, message); fault != Fault::none) {
            return refuse(fault);
        }
    }
    if (!symmetric_.decrypt_and_hash(message, payload)) {
        return refuse(Fault::forged);
    }
    ++next_;
    return {Fault::none, message.size() - symmetric_.overhead()};
}

Handshake::Ciphers Handshake::split() const {
    assert(complete());
    const auto [initiators, responders] = symmetric_.split();
    return initiator_ ? Ciphers{initiators, responders} : Ciphers{responders, initiators};
}

} // namespace ekey::sealed
