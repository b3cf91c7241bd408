// Guards an open sealed link (protocol/sealed/transport.h) against a man in the middle.
// Promise: what arrives is always the beginning of what was sent in that direction, byte for byte, however he
// drops, repeats, swaps, alters, turns back or makes up messages, and however the stream is cut; as soon as
// he has changed anything but the cuts, the link ends.
#include <string>
#include <vector>

#include <sodium.h>

#include "protocol/sealed/transport.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using namespace ekey::sealed;

namespace {

using Message = std::vector<Byte>;

// A key for each input: libFuzzer learns bytes of earlier runs, and would replay one run's messages in
// another.
Cipher cipher(Byte direction, ByteView input) {
    SecretKey key;
    crypto_generichash(key.data(), key.size(), input.data(), input.size(), nullptr, 0);
    key.data()[0] = static_cast<Byte>(key.data()[0] ^ direction);
    return Cipher(key);
}

Message seal(Transport& from, ByteView plaintext) {
    Message out(plaintext.size() + Transport::overhead);
    must(from.seal(plaintext, out) == out.size(), "a message has its size");
    return out;
}

// The messages in the order and form in which the man in the middle hands them on.
std::vector<Message> tamper(std::vector<Message> messages, const Message& backward, Input& input) {
    for (int i = input.byte() % 4; i > 0; --i) {
        const std::size_t at = input.byte() % messages.size();
        const auto where = messages.begin() + static_cast<std::ptrdiff_t>(at);
        switch (input.byte() % 6) {
        case 0: messages.erase(where); break;
        case 1: messages.insert(where, Message(*where)); break;
        case 2: std::swap(messages[at], messages[input.byte() % messages.size()]); break;
        case 3: messages[at][input.word() % messages[at].size()] ^= input.byte(); break;
        case 4: messages.insert(where, backward); break;
        case 5: {
            const ByteView made_up = input.take(input.byte());
            messages.emplace(where, made_up.begin(), made_up.end());
            break;
        }
        }
        if (messages.empty()) {
            break;
        }
        std::erase_if(messages, [](const Message& m) { return m.empty(); });
        if (messages.empty()) {
            break;
        }
    }
    return messages;
}

std::string joined(const std::vector<Message>& messages) {
    std::string stream;
    for (const Message& message : messages)
        stream += as_text(message);
    return stream;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input({data, size});
    Cuts cuts(input.byte());
    const bool rekeying = input.byte() % 2 == 0;
    const Cipher up = cipher(1, {data, size}), down = cipher(2, {data, size});
    Transport client({up, down}, rekeying, Time{}), server({down, up}, rekeying, Time{});

    std::string sent;
    std::vector<Message> messages;
    for (int i = 1 + input.byte() % 4; i > 0; --i) {
        const ByteView plaintext = input.take(input.byte());
        sent += as_text(plaintext);
        messages.push_back(seal(server, plaintext));
    }
    const std::string honest = joined(messages);
    const std::string stream = joined(tamper(messages, seal(client, as_bytes("request")), input));

    std::array<Byte, Transport::longest> out;
    std::string got;
    bool ended = false;
    for (ByteView rest = as_bytes(stream); !rest.empty() && !ended;) {
        for (ByteView piece = cuts.next(rest);;) {
            const auto step = client.receive(piece, out);
            must(step.used <= piece.size(), "no more is used than was given");
            piece = piece.subspan(step.used);
            if (step.event == Transport::Event::fault) {
                const auto again = client.receive(piece, out);
                must(again.used == 0 && again.fault == step.fault, "a fault is for good");
                ended = true;
                break;
            }
            if (step.event == Transport::Event::need_more) {
                must(piece.empty(), "more is wanted only when all is used");
                break;
            }
            must(inside(step.bytes, out), "plaintext lies where it was asked for");
            got += as_text(step.bytes);
            must(sent.starts_with(got), "nothing arrives that was not sent, in its order, once");
        }
    }
    if (stream == honest) {
        must(!ended && got == sent && client.at_end() == Fault::none, "an honest link carries all");
    } else if (!honest.starts_with(stream)) {
        must(ended || client.at_end() == Fault::truncated, "what was changed ends the link");
    }
    return 0;
}
