#include <doctest/doctest.h>

#include "protocol/sealed/handshake.h"
#include "tests/unit/protocol/sealed/parts.h"

using namespace ekey;
using namespace ekey::test;
using sealed::Fault, sealed::Handshake;

namespace {

Bytes write(Handshake& handshake, ByteView payload, const sealed::SecretKey& ephemeral) {
    Bytes out(payload.size() + Handshake::first_overhead);
    out.resize(*handshake.write(payload, ephemeral, out));
    return out;
}

Bytes read(Handshake& handshake, ByteView message) {
    Bytes payload(message.size());
    const auto read = handshake.read(message, payload);
    REQUIRE(read.fault == Fault::none);
    payload.resize(read.size);
    return payload;
}

Fault fault_of(Handshake& handshake, ByteView message) {
    Bytes payload(message.size());
    return handshake.read(message, payload).fault;
}

} // namespace

TEST_CASE("handshake and transport say what the published vectors say") {
    const Vectors vectors = load_vectors("noise_ik.json");
    for (const auto& [_, vector] : vectors.get_child("vectors")) {
        const auto client_keys = sealed::key_pair(secret_at(vector, "init_static"));
        const auto server_keys = sealed::key_pair(secret_at(vector, "resp_static"));
        REQUIRE(to_vector(server_keys.public_key) == hex_at(vector, "init_remote_static"));
        auto client =
            Handshake::initiator(client_keys, server_keys.public_key, hex_at(vector, "init_prologue"));
        auto server = Handshake::responder(server_keys, hex_at(vector, "resp_prologue"));
        std::optional<Handshake::Ciphers> clients, servers;

        std::size_t number = 0;
        for (const auto& [__, message] : vector.get_child("messages")) {
            CAPTURE(number);
            const Bytes payload = hex_at(message, "payload"), ciphertext = hex_at(message, "ciphertext");
            if (number == 0) {
                CHECK(write(client, payload, secret_at(vector, "init_ephemeral")) == ciphertext);
                CHECK(read(server, ciphertext) == payload);
                CHECK(server.remote() == client_keys.public_key);
            } else if (number == 1) {
                CHECK(write(server, payload, secret_at(vector, "resp_ephemeral")) == ciphertext);
                CHECK(read(client, ciphertext) == payload);
                CHECK(to_vector(client.hash()) == hex_at(vector, "handshake_hash"));
                CHECK(to_vector(server.hash()) == hex_at(vector, "handshake_hash"));
                clients = client.split();
                servers = server.split();
            } else {
                auto& sending = number % 2 == 0 ? clients->sending : servers->sending;
                auto& receiving = number % 2 == 0 ? servers->receiving : clients->receiving;
                Bytes sealed(payload.size() + sealed::tag_size), opened(payload.size());
                sending.encrypt({}, payload, sealed);
                CHECK(sealed == ciphertext);
                CHECK(receiving.decrypt({}, ciphertext, opened));
                CHECK(opened == payload);
            }
            ++number;
        }
        CHECK(number == 6);
    }
}

TEST_CASE("a handshake with any bit altered is refused") {
    const auto client_keys = pair_of(1), server_keys = pair_of(2);
    const auto make_client = [&] { return Handshake::initiator(client_keys, server_keys.public_key, {}); };
    const auto make_server = [&] { return Handshake::responder(server_keys, {}); };
    auto client = make_client();
    const Bytes first = write(client, bytes_of("hello"), secret_of(3));
    for (std::size_t bit = 0; bit < first.size() * 8; bit += 5) {
        Bytes altered = first;
        altered[bit / 8] ^= static_cast<Byte>(1 << bit % 8);
        auto server = make_server();
        CAPTURE(bit);
        CHECK(fault_of(server, altered) == Fault::forged);
        CHECK_FALSE(server.complete());
    }
    auto server = make_server();
    read(server, first);
    const Bytes second = write(server, bytes_of("hello"), secret_of(4));
    for (std::size_t bit = 0; bit < second.size() * 8; bit += 5) {
        Bytes altered = second;
        altered[bit / 8] ^= static_cast<Byte>(1 << bit % 8);
        auto again = make_client();
        write(again, bytes_of("hello"), secret_of(3));
        CAPTURE(bit);
        CHECK(fault_of(again, altered) == Fault::forged);
        CHECK_FALSE(again.complete());
    }
}

TEST_CASE("handshake messages that are cut short are refused") {
    const auto client_keys = pair_of(1), server_keys = pair_of(2);
    auto client = Handshake::initiator(client_keys, server_keys.public_key, {});
    const Bytes first = write(client, {}, secret_of(3));
    CHECK(first.size() == 96);
    for (std::size_t size = 0; size < first.size(); ++size) {
        auto server = Handshake::responder(server_keys, {});
        CHECK(fault_of(server, ByteView(first).first(size)) == Fault::too_short);
    }
    CHECK(fault_of(client, Bytes(47)) == Fault::too_short);
}

TEST_CASE("public keys that give no secret are refused") {
    // Of order 1, 2, 4 and 8: https://cr.yp.to/ecdh.html, "validation".
    const char* const low_order[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    for (const char* const hex : low_order) {
        CAPTURE(hex);
        sealed::PublicKey weak;
        const Bytes bytes = from_hex(hex);
        std::copy(bytes.begin(), bytes.end(), weak.begin());
        const auto keys = pair_of(1);

        sealed::SecretKey shared = secret_of(9);
        CHECK_FALSE(sealed::exchange(keys.secret, weak, shared));
        CHECK(shared == sealed::SecretKey());

        auto client = Handshake::initiator(keys, weak, {});
        Bytes out(Handshake::first_overhead);
        CHECK_FALSE(client.write({}, secret_of(3), out));

        auto server = Handshake::responder(keys, {});
        Bytes message(Handshake::first_overhead);
        std::copy(bytes.begin(), bytes.end(), message.begin());
        CHECK(fault_of(server, message) == Fault::weak_key);
    }
}

TEST_CASE("both sides must have the same prologue, unless the server allows another") {
    const auto client_keys = pair_of(1), server_keys = pair_of(2);
    for (const char* const clients : {"one", "two", "three"}) {
        CAPTURE(clients);
        auto client = Handshake::initiator(client_keys, server_keys.public_key, bytes_of(clients));
        const Bytes first = write(client, bytes_of("hello"), secret_of(3));
        auto strict = Handshake::responder(server_keys, bytes_of("one"));
        CHECK((fault_of(strict, first) == Fault::none) == (std::string_view(clients) == "one"));

        auto server = Handshake::responder(server_keys, bytes_of("one"));
        server.allow(bytes_of("two"));
        if (std::string_view(clients) == "three") {
            CHECK(fault_of(server, first) == Fault::forged);
            continue;
        }
        CHECK(read(server, first) == bytes_of("hello"));
        CHECK(server.is_other() == (std::string_view(clients) == "two"));
        CHECK(read(client, write(server, bytes_of("welcome"), secret_of(4))) == bytes_of("welcome"));
        CHECK(client.hash() == server.hash());
    }
}

TEST_CASE(
    "a client that expects another server is refused, and so is a server that is not the expected one") {
    const auto client_keys = pair_of(1), server_keys = pair_of(2), other_keys = pair_of(5);
    auto client = Handshake::initiator(client_keys, other_keys.public_key, {});
    auto server = Handshake::responder(server_keys, {});
    CHECK(fault_of(server, write(client, {}, secret_of(3))) == Fault::forged);

    // Whoever knows the server's public key alone can go on from the client's message, and makes no answer.
    auto honest = Handshake::initiator(client_keys, server_keys.public_key, {});
    auto impostor = Handshake::responder(other_keys, {});
    auto elsewhere = Handshake::initiator(client_keys, other_keys.public_key, {});
    read(impostor, write(elsewhere, {}, secret_of(3)));
    write(honest, {}, secret_of(3));
    CHECK(fault_of(honest, write(impostor, {}, secret_of(4))) == Fault::forged);
}
