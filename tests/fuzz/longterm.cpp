// Guards writing a new long-term key (protocol/entropykey/longterm.h). The zero session key is known to all,
// so every frame of the input can have a right MAC: the input chooses types and payloads, cuts and pauses.
// Promise: it ends, with an outcome, after at most three tries and within a minute of their deadlines; a new
// key is that of the expected device; bytes after the outcome change nothing; at most 32 bytes wait to be
// sent.
#include <string>

#include "protocol/entropykey/longterm.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/scripted_key.h"

using namespace ekey;
using namespace ekey::fuzz;
using namespace ekey::entropykey;
using namespace std::chrono_literals;

namespace {

constexpr Serial serial{{'f', 'u', 'z', 'z'}}, other{{'o', 't', 'h', 'e', 'r'}};

void no_random(ByteSpan out) {
    std::fill(out.begin(), out.end(), Byte{7});
}

std::string some_frame(fuzz::Input& in) {
    const Byte choice = in.byte();
    const test::ScriptedKey device(choice & 16 ? other : serial, LongTermKey());
    switch (choice % 8) {
    case 0: return device.serial_frame();
    case 1: return device.text(PacketType::long_term_unlocked);
    case 2: // the right length of a nonce is 12
        return device.binary(PacketType::long_term_key, choice & 32 ? 12 : in.word() & 4095,
                             std::array<Byte, block_size>{in.byte()});
    case 3: return device.text(PacketType::long_term_failed);
    case 4: return device.text(PacketType::unexpected);
    case 5: {
        std::array<Byte, payload_size> payload;
        payload.fill(' ');
        const char type = static_cast<char>(in.byte()), encoding = static_cast<char>(in.byte());
        const ByteView some = in.take(payload_size);
        std::copy(some.begin(), some.end(), payload.begin());
        return device.any(type, encoding, payload);
    }
    default: return std::string(as_text(in.take(in.byte())));
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input in({data, size});
    const Byte settings = in.byte();
    const bool expecting = settings & 1;
    LongTermRekey rekey(MasterKey(), expecting ? std::optional(serial) : std::nullopt, no_random);
    Time now{1h};
    rekey.start(now);
    while (!in.empty()) {
        must(rekey.pending_output().size() <= 32, "at most 32 bytes wait to be sent");
        if (settings & 2)
            rekey.consume_output(rekey.pending_output().size());
        const bool over = rekey.outcome().has_value();
        const bool good = over && rekey.outcome()->has_value();
        if (in.byte() % 8 == 0) {
            now += std::chrono::milliseconds(in.word());
            rekey.handle_timeout(now);
        } else {
            const std::string frame = some_frame(in);
            Cuts cuts(in.byte());
            for (ByteView rest = as_bytes(frame); !rest.empty();)
                rekey.receive(cuts.next(rest), now);
        }
        must(!over || rekey.outcome()->has_value() == good, "an outcome is for good");
    }
    for (int tries = 0; !rekey.outcome(); ++tries) {
        must(rekey.deadline() != Time::max() && tries < 3, "it ends after three tries at most");
        now = std::max(now, rekey.deadline());
        rekey.handle_timeout(now);
    }
    must(now < Time(1h) + 70s * static_cast<int>(1 + size), "no deadline is far away");
    const auto& outcome = *rekey.outcome();
    if (outcome)
        must(!expecting || outcome->serial == serial, "a new key is that of the expected device");
    else
        must(!outcome.error().what.empty(), "a failure says what to do");
    return 0;
}
