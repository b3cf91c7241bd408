// Work for instructions.py: `frame-cost session N` decodes N entropy frames (framing, MAC, pad, base64,
// dispatch), as they come from one read after the other; `frame-cost all N` takes them through health tests
// and conditioner too.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "ekeyd/conditioner/conditioner.h"
#include "ekeyd/health/monitor.h"
#include "ekeyd/runtime/secret.h"
#include "tests/support/session_harness.h"

using namespace ekey;
using namespace ekey::entropykey;
using namespace ekey::test;

namespace {

constexpr double min_entropy = 7.0;
constexpr std::size_t one_read = 512;
constexpr unsigned frames = 4000; // of one session; they are decoded again and again

class Stages {
  public:
    void take(ByteView samples) {
        while (!samples.empty()) {
            ByteView released;
            samples = samples.subspan(monitor_->feed(samples, released));
            condition(released);
        }
    }
    bool healthy() const { return monitor_->state() == health::State::healthy; }

  private:
    void condition(ByteView bytes) {
        while (!bytes.empty()) {
            bytes = bytes.subspan(conditioner_->add(0, bytes, min_entropy));
            if (conditioner_->ready()) {
                std::array<Byte, Conditioner::output_size> out;
                conditioner_->extract(out);
            }
        }
    }

    Locked<health::Monitor> monitor_ =
        make_locked<health::Monitor>(health::Settings{.min_entropy = min_entropy});
    Locked<Conditioner> conditioner_ = make_locked<Conditioner>();
};

// Decodes `stream` and returns how many frames came out.
long decode(Session& session, std::string_view stream, Stages* stages) {
    long count = 0;
    while (!stream.empty()) {
        ByteView in = as_bytes(stream.substr(0, one_read));
        stream.remove_prefix(in.size());
        for (;;) {
            const auto step = session.receive(in, Time());
            in = in.subspan(step.used);
            if (const auto* entropy = std::get_if<Entropy>(&step.event)) {
                ++count;
                if (stages != nullptr)
                    stages->take(entropy->plaintext);
            } else if (in.empty() && std::holds_alternative<std::monostate>(step.event)) {
                break;
            }
        }
    }
    return count;
}

std::string entropy_frames(const ScriptedKey& device) {
    Byte seed[randombytes_SEEDBYTES]{};
    std::array<std::array<Byte, block_size>, frames> samples;
    randombytes_buf_deterministic(samples.data(), sizeof samples, seed);
    std::string stream;
    for (unsigned i = 0; i < frames; ++i)
        stream += device.entropy(static_cast<std::uint16_t>(i + 1), samples[i]);
    return stream;
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view work = argc == 3 ? argv[1] : "";
    if (work != "session" && work != "all") {
        std::fputs("usage: frame-cost session|all FRAMES\n", stderr);
        return 2;
    }
    init_secrets();
    ScriptedKey device(Serial{}, LongTermKey());
    SessionHarness host;
    host.key = LongTermKey();
    host.run(device);
    const std::string stream = entropy_frames(device);
    Stages stages;

    const long wanted = std::strtol(argv[2], nullptr, 10);
    long decoded = 0;
    while (decoded < wanted) {
        Session session = host.session; // each time from the frame before the first
        const auto now = static_cast<std::size_t>(std::min<long>(wanted - decoded, frames));
        decoded += decode(session, std::string_view(stream).substr(0, now * frame_size),
                          work == "all" ? &stages : nullptr);
    }
    if (work == "all" && !stages.healthy()) {
        std::fputs("the samples failed their health tests\n", stderr);
        return 1;
    }
    return decoded == wanted ? 0 : 1;
}
