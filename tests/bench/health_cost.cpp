// Work for instructions.py: `health-cost health|conditioner|both N` takes N blocks of 32 bytes, the amount of
// one entropy frame, through the stages as the pipeline does.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "ekeyd/conditioner/conditioner.h"
#include "ekeyd/health/monitor.h"
#include "ekeyd/runtime/secret.h"

using namespace ekey;

namespace {

constexpr std::size_t frame_size = 32;
constexpr std::size_t frames = 1024; // before they come again
constexpr double min_entropy = 7.0;

void condition(Conditioner& conditioner, ByteView bytes) {
    while (!bytes.empty()) {
        bytes = bytes.subspan(conditioner.add(0, bytes, min_entropy));
        if (conditioner.ready()) {
            std::array<Byte, Conditioner::output_size> out;
            conditioner.extract(out);
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view work = argc == 3 ? argv[1] : "";
    const bool health = work == "health" || work == "both",
               conditioning = work == "conditioner" || work == "both";
    if (!health && !conditioning) {
        std::fputs("usage: health-cost health|conditioner|both BLOCKS\n", stderr);
        return 2;
    }
    init_secrets();
    Byte seed[randombytes_SEEDBYTES]{};
    std::vector<Byte> samples(frames * frame_size);
    randombytes_buf_deterministic(samples.data(), samples.size(), seed);
    const auto monitor = make_locked<health::Monitor>(health::Settings{.min_entropy = min_entropy});
    const auto conditioner = make_locked<Conditioner>();

    const long blocks = std::strtol(argv[2], nullptr, 10);
    for (long i = 0; i < blocks; ++i) {
        ByteView frame =
            ByteView(samples).subspan(static_cast<std::size_t>(i) % frames * frame_size, frame_size);
        if (!health) {
            condition(*conditioner, frame);
            continue;
        }
        while (!frame.empty()) {
            ByteView released;
            frame = frame.subspan(monitor->feed(frame, released));
            if (conditioning) {
                condition(*conditioner, released);
            }
        }
    }
    if (health && monitor->state() != health::State::healthy) {
        std::fprintf(stderr, "the samples failed: %s\n", monitor->detail().c_str());
        return 1;
    }
    return 0;
}
