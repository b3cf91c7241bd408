// What the tests of sealed links share.
#pragma once

#include <vector>

#include "protocol/sealed/initiator.h"
#include "protocol/sealed/responder.h"
#include "tests/support/vectors.h"

namespace ekey::test {

using Bytes = std::vector<Byte>;

inline sealed::SecretKey secret_of(Byte fill) {
    sealed::SecretKey key;
    std::fill_n(key.data(), key.size(), fill);
    return key;
}

inline sealed::KeyPair pair_of(Byte fill) {
    return sealed::key_pair(secret_of(fill));
}

inline sealed::SecretKey secret_at(const Vectors& vector, const char* name) {
    return sealed::SecretKey(array_at<sealed::key_size>(vector, name));
}

inline Bytes bytes_of(std::string_view text) {
    return to_vector(as_bytes(text));
}

// A client and a server that have shaken hands.
struct OpenLink {
    sealed::KeyPair client_keys = pair_of(1), server_keys = pair_of(2);
    sealed::Initiator client{client_keys, server_keys.public_key};
    sealed::Responder responder{server_keys};
    Time now{std::chrono::hours(1)};
    std::vector<Byte> scratch = std::vector<Byte>(sealed::Transport::longest);

    Bytes opening(const sealed::Hello* hello = nullptr) {
        Bytes out(sealed::Initiator::max_opening);
        out.resize(*client.open(hello, secret_of(3), now, out));
        return out;
    }
    Bytes answer(const sealed::Hello& hello) {
        Bytes out(sealed::Responder::max_answer);
        out.resize(*responder.answer(hello, secret_of(4), now, out));
        return out;
    }
    sealed::Hello server_hello() const {
        sealed::Hello hello;
        hello.path = {server_keys.public_key};
        return hello;
    }
};

inline Bytes seal(auto& link, ByteView plaintext) {
    Bytes out(plaintext.size() + sealed::Transport::overhead);
    out.resize(link.seal(plaintext, out));
    return out;
}

} // namespace ekey::test
