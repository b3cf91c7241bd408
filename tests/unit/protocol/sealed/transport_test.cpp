#include <doctest/doctest.h>

#include "protocol/sealed/transport.h"
#include "tests/unit/protocol/sealed/parts.h"

using namespace ekey;
using namespace ekey::test;
using sealed::Cipher, sealed::Fault, sealed::Transport;
using Event = Transport::Event;

namespace {

Transport make(Byte sending, Byte receiving, bool rekeying = true) {
    return {{Cipher(secret_of(sending)), Cipher(secret_of(receiving))}, rekeying, Time{}};
}

struct Outcome {
    Bytes bytes;
    Fault fault = Fault::none;
    bool operator==(const Outcome&) const = default;
};

Outcome feed(Transport& to, ByteView stream, std::size_t piece_size = 1 << 20) {
    Bytes out(Transport::longest);
    Outcome outcome;
    while (!stream.empty()) {
        ByteView piece = stream.first(std::min(piece_size, stream.size()));
        stream = stream.subspan(piece.size());
        for (;;) {
            const auto step = to.receive(piece, out);
            piece = piece.subspan(step.used);
            if (step.event == Event::fault) {
                outcome.fault = step.fault;
                return outcome;
            }
            if (step.event == Event::need_more) {
                REQUIRE(piece.empty());
                break;
            }
            outcome.bytes.insert(outcome.bytes.end(), step.bytes.begin(), step.bytes.end());
        }
    }
    return outcome;
}

Bytes join(std::initializer_list<Bytes> parts) {
    Bytes all;
    for (const Bytes& part : parts)
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

} // namespace

TEST_CASE("what is sealed arrives, in any split") {
    for (const std::size_t size : {1u, 2u, 3u, 17u, 1000000u}) {
        CAPTURE(size);
        auto from = make(1, 2), to = make(2, 1);
        const Bytes longest(Transport::longest, 'x');
        const Bytes stream = join({seal(from, bytes_of("one")), seal(from, {}), seal(from, longest)});
        CHECK(feed(to, stream, size) == Outcome{join({bytes_of("one"), longest})});
        CHECK(to.at_end() == Fault::none);
    }
}

TEST_CASE("bytes that lie in place already are sealed there") {
    auto from = make(1, 2), to = make(2, 1);
    Bytes out = {0, 0, 'o', 'n', 'e'};
    out.resize(3 + Transport::overhead);
    CHECK(from.seal(ByteView(out).subspan(2, 3), out) == out.size());
    CHECK(feed(to, out) == Outcome{bytes_of("one")});
}

TEST_CASE("each message has a key of its own, which is gone after it") {
    auto from = make(1, 2), to = make(2, 1);
    auto plain = make(1, 2, false);
    CHECK(seal(from, bytes_of("one")) == seal(plain, bytes_of("one"))); // the first key is the handshake's
    const Bytes second = seal(from, bytes_of("two"));
    CHECK(second != seal(plain, bytes_of("two")));

    Cipher expected(secret_of(1), 1); // the nonce goes on
    expected.rekey();
    Bytes sealed(3 + sealed::tag_size);
    expected.encrypt({}, bytes_of("two"), sealed);
    CHECK(to_vector(ByteView(second).subspan(2)) == sealed);
}

TEST_CASE("a link of a plain client is not re-keyed") {
    auto from = make(1, 2, false), to = make(2, 1, false);
    Cipher expected(secret_of(1));
    for (int i = 0; i < 3; ++i) {
        Bytes sealed(3 + sealed::tag_size);
        expected.encrypt({}, bytes_of("abc"), sealed);
        const Bytes message = seal(from, bytes_of("abc"));
        CHECK(to_vector(ByteView(message).subspan(2)) == sealed);
        CHECK(feed(to, message) == Outcome{bytes_of("abc")});
    }
}

TEST_CASE("an altered message ends the link") {
    auto probe = make(1, 2);
    const std::size_t bits = seal(probe, bytes_of("noise")).size() * 8;
    for (std::size_t bit = 16; bit < bits; ++bit) { // its length: below
        auto from = make(1, 2), to = make(2, 1);
        Bytes message = seal(from, bytes_of("noise"));
        message[bit / 8] ^= static_cast<Byte>(1 << bit % 8);
        CHECK(feed(to, message) == Outcome{{}, Fault::forged});
        // For good, also when what was meant comes after all.
        auto again = make(1, 2);
        CHECK(feed(to, seal(again, bytes_of("noise"))) == Outcome{{}, Fault::forged});
    }
}

TEST_CASE("a replayed, dropped, reordered or reflected message ends the link") {
    for (const bool rekeying : {true, false}) {
        auto sender = make(1, 2, rekeying);
        const Bytes first = seal(sender, bytes_of("one")), second = seal(sender, bytes_of("two"));
        auto replayed = make(2, 1, rekeying), dropped = make(2, 1, rekeying),
             reordered = make(2, 1, rekeying);
        CHECK(feed(replayed, join({first, first})) == Outcome{bytes_of("one"), Fault::forged});
        CHECK(feed(dropped, second) == Outcome{{}, Fault::forged});
        CHECK(feed(reordered, join({second, first})) == Outcome{{}, Fault::forged});
        CHECK(feed(sender, first) == Outcome{{}, Fault::forged});
    }
}

TEST_CASE("a wrong length ends the link") {
    auto from = make(1, 2), too_long = make(2, 1), too_short = make(2, 1), shorter = make(2, 1);
    Bytes message = seal(from, bytes_of("noise"));
    CHECK(feed(too_long, Bytes{0x08, 0x11}) == Outcome{{}, Fault::too_long}); // 2048 + 17
    CHECK(feed(too_short, join({{0, 15}, Bytes(15)})) == Outcome{{}, Fault::too_short});
    message[1] = static_cast<Byte>(message[1] - 1);
    CHECK(feed(shorter, message) == Outcome{{}, Fault::forged});
}

TEST_CASE("a connection that ends within a message was cut off") {
    auto from = make(1, 2);
    const Bytes message = seal(from, bytes_of("noise"));
    for (std::size_t size = 1; size < message.size(); ++size) {
        auto to = make(2, 1);
        CHECK(feed(to, ByteView(message).first(size)) == Outcome{});
        CHECK(to.at_end() == Fault::truncated);
    }
}

TEST_CASE("a direction ends when its nonces are used up") {
    constexpr std::uint64_t last = 0xffffffffffffffff;
    Transport from({Cipher(secret_of(1), last - 1), Cipher(secret_of(2))}, true, Time{});
    Transport to({Cipher(secret_of(2)), Cipher(secret_of(1), last - 1)}, true, Time{});
    const Bytes message = seal(from, bytes_of("last"));
    CHECK(feed(to, message) == Outcome{bytes_of("last")});
    CHECK(seal(from, bytes_of("more")).empty());
    CHECK(feed(to, message) == Outcome{{}, Fault::exhausted});
}
