// Client and server together, from the first byte on.
#include <doctest/doctest.h>

#include "protocol/sealed/prologue.h"
#include "tests/unit/protocol/sealed/parts.h"

using namespace ekey;
using namespace ekey::test;
using sealed::Fault, sealed::Handshake, sealed::Hello, sealed::Initiator, sealed::Responder;

TEST_CASE("a client and a server open a link, whole and byte by byte, and a tail is left for the transport") {
    for (const bool bytewise : {false, true}) {
        CAPTURE(bytewise);
        OpenLink link;
        Hello relay;
        relay.path = {link.client_keys.public_key};
        const Bytes opening = link.opening(&relay);
        const auto feed_server = [&](ByteView bytes) { return link.responder.receive(bytes); };
        if (bytewise) {
            for (std::size_t i = 0; i + 1 < opening.size(); ++i) {
                const auto step = feed_server(ByteView(opening).subspan(i, 1));
                REQUIRE(step.event == Responder::Event::need_more);
                REQUIRE(step.used == 1);
            }
            REQUIRE(feed_server(ByteView(opening).last(1)).event == Responder::Event::asked);
        } else {
            Bytes with_tail = opening;
            with_tail.push_back(0);
            const auto step = feed_server(with_tail);
            REQUIRE(step.event == Responder::Event::asked);
            CHECK(step.used == opening.size());
        }
        CHECK(link.responder.client() == link.client_keys.public_key);
        CHECK(link.responder.hello() == relay);
        CHECK_FALSE(link.responder.plain());

        Hello hello = link.server_hello();
        hello.credit = 4;
        const Bytes answer = link.answer(hello);
        auto server = link.responder.transport(link.now);
        Bytes stream = answer;
        for (const Byte byte : seal(server, bytes_of("noise")))
            stream.push_back(byte);
        std::string got;
        bool opened = false;
        for (ByteView rest = stream; !rest.empty();) {
            const auto step = link.client.receive(bytewise ? rest.first(1) : rest, link.now, link.scratch);
            rest = rest.subspan(step.used);
            opened |= step.event == Initiator::Event::opened;
            REQUIRE(step.event != Initiator::Event::fault);
            got += as_text(step.bytes);
        }
        CHECK(opened);
        CHECK(got == "noise");
        CHECK(link.client.server() == hello);
        CHECK(link.client.opened() == link.now);

        const Bytes request = seal(link.client, bytes_of("\x02\x20"));
        const auto step = server.receive(request, link.scratch);
        CHECK(to_vector(step.bytes) == bytes_of("\x02\x20"));
    }
}

TEST_CASE("a client that is no relay says nothing, and a server that is none may, too") {
    OpenLink link;
    const Bytes opening = link.opening();
    CHECK(opening.size() == 2 + 96);
    link.responder.receive(opening);
    CHECK(link.responder.hello() == Hello{});

    Bytes scratch(2048);
    auto bare = Handshake::responder(link.server_keys, as_bytes(sealed::prologue));
    bare.read(ByteView(opening).subspan(2), scratch);
    Bytes answer(2 + Handshake::second_overhead);
    sealed::write_length(*bare.write({}, secret_of(4), ByteSpan(answer).subspan(2)), answer);
    CHECK(link.client.receive(answer, link.now, link.scratch).event == Initiator::Event::opened);
    CHECK(link.client.server().path == link.server_hello().path);
}

TEST_CASE("a plain client with an empty prologue is taken in, and its link is plain Noise") {
    const auto client_keys = pair_of(1), server_keys = pair_of(2);
    auto client = Handshake::initiator(client_keys, server_keys.public_key, {});
    Bytes opening(2 + Handshake::first_overhead + 5);
    sealed::write_length(*client.write(bytes_of("hello"), secret_of(3), ByteSpan(opening).subspan(2)),
                         opening);

    Responder server(server_keys);
    REQUIRE(server.receive(opening).event == Responder::Event::asked);
    CHECK(server.plain());
    CHECK(server.client() == client_keys.public_key);
    Bytes answer(Responder::max_answer), payload(64);
    answer.resize(*server.answer(Hello{}, secret_of(4), Time{}, answer));
    CHECK(answer.size() == 2 + 48); // an empty payload
    REQUIRE(client.read(ByteView(answer).subspan(2), payload).fault == Fault::none);

    auto transport = server.transport(Time{});
    auto keys = client.split();
    for (int i = 0; i < 3; ++i) { // without re-keying
        const Bytes message = seal(transport, bytes_of("noise"));
        Bytes opened(5);
        CHECK(keys.receiving.decrypt({}, ByteView(message).subspan(2), opened));
        CHECK(opened == bytes_of("noise"));
    }
}

TEST_CASE("a recorded first message sent again opens no link") {
    OpenLink link;
    const Bytes opening = link.opening();
    link.responder.receive(opening);
    link.client.receive(link.answer(link.server_hello()), link.now, link.scratch);
    auto server = link.responder.transport(link.now);
    Responder again(link.server_keys);
    CHECK(again.receive(opening).event == Responder::Event::asked); // anyone can get so far
    Bytes answer(Responder::max_answer);
    answer.resize(*again.answer(link.server_hello(), secret_of(6), link.now, answer));
    auto replayed = again.transport(link.now);
    const Bytes request = seal(link.client, bytes_of("\x02\x20"));
    CHECK(replayed.receive(request, link.scratch).fault == Fault::forged);
    CHECK(server.receive(request, link.scratch).event == sealed::Transport::Event::bytes);
}

TEST_CASE("a client refuses a server whose noise comes from itself, or has come too far") {
    for (const Fault expected : {Fault::looped, Fault::too_far}) {
        OpenLink link;
        link.responder.receive(link.opening());
        Hello hello = link.server_hello();
        if (expected == Fault::looped)
            hello.path.push_back(link.client_keys.public_key);
        else
            hello.hop_limit = 0;
        const auto step = link.client.receive(link.answer(hello), link.now, link.scratch);
        CHECK(step.event == Initiator::Event::fault);
        CHECK(step.fault == expected);
        CHECK_FALSE(link.client.is_open());
        CHECK(link.client.receive(Bytes{0, 0}, link.now, link.scratch).fault == expected);
    }
}

TEST_CASE("a path that does not begin with the server is malformed, and so is a payload that is no hello") {
    OpenLink link;
    link.responder.receive(link.opening());
    Hello hello;
    hello.path = {pair_of(9).public_key};
    CHECK(link.client.receive(link.answer(hello), link.now, link.scratch).fault == Fault::bad_payload);

    const auto keys = pair_of(1);
    auto client = Handshake::initiator(keys, link.server_keys.public_key, as_bytes(sealed::prologue));
    Bytes opening(2 + Handshake::first_overhead + 1);
    sealed::write_length(*client.write(Bytes{1}, secret_of(3), ByteSpan(opening).subspan(2)), opening);
    Responder server(link.server_keys);
    CHECK(server.receive(opening).fault == Fault::bad_payload);
}

TEST_CASE("handshakes end with a named fault: too long, too short, cut off, forged") {
    OpenLink link;
    CHECK(link.client.at_end() == Fault::truncated);
    CHECK(link.responder.at_end() == Fault::truncated);
    Responder flooded(link.server_keys);
    CHECK(flooded.receive(Bytes{0xff, 0xff}).fault == Fault::too_long);
    CHECK(flooded.receive(Bytes{0}).fault == Fault::too_long);
    Responder starved(link.server_keys);
    CHECK(starved.receive(Bytes{0, 3, 1, 2, 3}).fault == Fault::too_short);

    Bytes opening = link.opening();
    opening.back() ^= 1;
    CHECK(link.responder.receive(opening).fault == Fault::forged);
    CHECK(link.client.receive(Bytes{0, 48, 1}, link.now, link.scratch).event == Initiator::Event::need_more);
    CHECK(link.client.receive(Bytes(47), link.now, link.scratch).fault == Fault::weak_key);
    CHECK(link.client.at_end() == Fault::weak_key);
}

TEST_CASE("a server key of low order opens nothing") {
    const auto keys = pair_of(1);
    Initiator client(keys, sealed::PublicKey{});
    Bytes out(Initiator::max_opening);
    CHECK_FALSE(client.open(nullptr, secret_of(3), Time{}, out));
}
