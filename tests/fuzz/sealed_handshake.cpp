// Guards both sides of a sealed link's handshake (protocol/sealed/) against strangers and against who alters
// what is on its way.
// Promise: bytes of a stranger open nothing, whatever they are and however they are cut; a handshake of which
// anything was altered opens nothing; after a fault nothing is used any more; a hello is never longer than it
// may be, and means the same when it is written and read again.
#include <vector>

#include <sodium.h>

#include "protocol/sealed/initiator.h"
#include "protocol/sealed/responder.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using namespace ekey::sealed;

namespace {

SecretKey secret_of(Byte fill) {
    SecretKey key;
    std::fill_n(key.data(), key.size(), fill);
    return key;
}

KeyPair client_keys, server_keys;

// Keys for each input: libFuzzer learns bytes of earlier runs, and would replay one run's messages in
// another.
void make_keys(ByteView input) {
    SecretKey key;
    crypto_generichash(key.data(), key.size(), input.data(), input.size(), nullptr, 0);
    client_keys = key_pair(key);
    key.data()[1] ^= 1;
    server_keys = key_pair(key);
}
constexpr Time now{};

// Where it stops, in bytes of the stream, and with what.
struct Outcome {
    std::size_t used = 0;
    bool done = false; // opened, or asked
    Fault fault = Fault::none;
    bool operator==(const Outcome&) const = default;
};

template <class Side>
Outcome feed(Side& side, ByteView stream, Cuts cuts, auto receive, auto done_event) {
    Outcome outcome;
    while (!stream.empty()) {
        ByteView piece = cuts.next(stream);
        for (;;) {
            const auto step = receive(side, piece);
            must(step.used <= piece.size(), "no more is used than was given");
            outcome.used += step.used;
            piece = piece.subspan(step.used);
            if (step.event == Side::Event::fault) {
                outcome.fault = step.fault;
                must(step.fault != Fault::none, "a fault has a name");
                const auto again = receive(side, piece);
                must(again.used == 0 && again.fault == step.fault, "a fault is for good");
                return outcome;
            }
            if (step.event == done_event) {
                outcome.done = true;
                return outcome;
            }
            must(piece.empty(), "more is wanted only when all is used");
            break;
        }
    }
    return outcome;
}

Outcome feed_server(Responder& server, ByteView stream, Cuts cuts) {
    return feed(
        server, stream, cuts, [](Responder& s, ByteView piece) { return s.receive(piece); },
        Responder::Event::asked);
}

Outcome feed_client(Initiator& client, ByteView stream, Cuts cuts) {
    std::array<Byte, Transport::longest> out;
    return feed(
        client, stream, cuts, [&](Initiator& c, ByteView piece) { return c.receive(piece, now, out); },
        Initiator::Event::opened);
}

void check_strangers(ByteView stream, Cuts cuts) {
    Responder server(server_keys), whole(server_keys);
    const Outcome outcome = feed_server(server, stream, cuts);
    must(!outcome.done, "a stranger asks for nothing");
    const Outcome other = feed_server(whole, stream, Cuts(0));
    must(outcome.fault == other.fault, "any cutting means the same");

    Initiator client(client_keys, server_keys.public_key);
    std::array<Byte, Initiator::max_opening> opening;
    must(client.open(nullptr, secret_of(3), now, opening).has_value(), "a client opens");
    must(!feed_client(client, stream, cuts).done && !client.is_open(), "a stranger is no server");
}

// Writes over a part of the message what the input says; whether that changed anything.
bool alter(std::vector<Byte>& message, Input& input) {
    const std::vector<Byte> before = message;
    const std::size_t at = input.word() % message.size();
    const ByteView over = input.take(input.byte());
    std::copy_n(over.begin(), std::min(over.size(), message.size() - at),
                message.begin() + static_cast<std::ptrdiff_t>(at));
    return message != before;
}

void check_altered(Input input, Cuts cuts) {
    Initiator client(client_keys, server_keys.public_key);
    Responder server(server_keys);
    Hello hello;
    hello.path = {client_keys.public_key};
    std::vector<Byte> opening(Initiator::max_opening);
    opening.resize(*client.open(input.byte() % 2 == 0 ? &hello : nullptr, secret_of(3), now, opening));
    const bool first_altered = alter(opening, input);
    const Outcome asked = feed_server(server, opening, cuts);
    must(asked.done != first_altered, "the server takes what the client sent, and nothing else");
    if (!asked.done) {
        return;
    }
    hello.path = {server_keys.public_key};
    std::vector<Byte> answer(Responder::max_answer);
    answer.resize(*server.answer(hello, secret_of(4), now, answer));
    const bool second_altered = alter(answer, input);
    must(feed_client(client, answer, cuts).done != second_altered,
         "the client takes what the server sent, and nothing else");
    must(client.is_open() == !second_altered, "and is open then alone");
}

void check_hello(ByteView payload) {
    const auto hello = decode_hello(payload);
    if (!hello || payload.empty()) {
        return;
    }
    must(hello->path.size() <= Hello::max_path, "a path has a bound");
    std::array<Byte, Hello::max_size> out;
    const std::size_t size = encode_hello(*hello, out);
    must(size <= payload.size() &&
             std::equal(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size), payload.begin()),
         "a hello is written as it was read");
    static_cast<void>(judge(*hello, client_keys.public_key));
    const Hello* const upstream = &*hello;
    if (const auto made = offer(client_keys.public_key, hello->hop_limit, {&upstream, 1})) {
        must(made->path.size() <= Hello::max_path, "and so has the path that is made of it");
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    make_keys({data, size});
    Input input({data, size});
    const Byte kind = input.byte();
    const Cuts cuts(input.byte());
    switch (kind % 3) {
    case 0: check_strangers(input.rest(), cuts); break;
    case 1: check_altered(input, cuts); break;
    default: check_hello(input.rest()); break;
    }
    return 0;
}
