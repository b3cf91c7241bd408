// Guards the health monitor (ekeyd/health/monitor.h) against the cutting of its input: reads from a device
// come in any size, and the outcome must not depend on it (promise 1). The input is a recipe of good noise,
// stuck bytes, few values, its own bytes, and restarts. Promise: any cutting releases the same blocks, fails
// at the same byte and counts the same; what is released is the source's own, in its order, in whole blocks;
// every byte is released, discarded or held.
#include <string>
#include <vector>

#include "ekeyd/health/monitor.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using health::Monitor;

namespace {

// Good enough to pass FIPS 140-2: Marsaglia's xorshift64 ("Xorshift RNGs", 2003).
class Noise {
  public:
    explicit Noise(Byte seed) : state_(0x9e3779b97f4a7c15u + seed) {}
    char next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<char>(state_ >> 32);
    }

  private:
    std::uint64_t state_;
};

constexpr std::size_t longest_stretch = 40'000; // bytes between restarts: sixteen blocks

// What comes between one restart and the next.
std::vector<std::string> stretches(Input& in) {
    std::vector<std::string> all(1);
    Noise noise(in.byte());
    while (!in.empty() && all.size() < 8) {
        const Byte what = in.byte();
        std::string& now = all.back();
        switch (what % 6) {
        case 0:
        case 1:
            for (unsigned count = in.byte() * 64u; count > 0; --count)
                now += noise.next();
            break;
        case 2: now.append(in.byte(), static_cast<char>(in.byte())); break;
        case 3: { // few values
            const int mask = in.byte();
            for (unsigned count = in.byte() * 16u; count > 0; --count)
                now += static_cast<char>(noise.next() & mask);
            break;
        }
        case 4: now += as_text(in.take(in.byte())); break;
        default: all.emplace_back();
        }
        all.back().resize(std::min(all.back().size(), longest_stretch));
    }
    return all;
}

std::string run(Monitor& monitor, const std::vector<std::string>& all, Cuts cuts) {
    std::string released, fed;
    for (const std::string& stretch : all) {
        if (&stretch != &all.front()) {
            monitor.restart();
            must(monitor.state() == health::State::starting && monitor.bytes_held() == 0,
                 "a restart holds nothing and begins again");
        }
        for (ByteView rest = as_bytes(stretch); !rest.empty();) {
            ByteView piece = cuts.next(rest);
            while (!piece.empty()) {
                ByteView block;
                const std::size_t used = monitor.feed(piece, block);
                must(used > 0 && used <= piece.size(), "something is used, and no more than was given");
                fed += as_text(piece.first(used));
                piece = piece.subspan(used);
                if (!block.empty()) {
                    must(monitor.state() == health::State::healthy, "only a healthy source releases");
                    must(block.size() == health::block_size && fed.ends_with(as_text(block)),
                         "a released block is the newest bytes of the source");
                    released += as_text(block);
                }
            }
        }
    }
    const auto& c = monitor.counters();
    must(c.bytes_released == released.size(), "released bytes are counted");
    must(c.bytes_released + c.bytes_discarded + monitor.bytes_held() == fed.size(),
         "every byte is released, discarded or held");
    must(c.bytes_released <= c.bytes_tested && c.bytes_tested <= fed.size(), "what is released was tested");
    return released;
}

bool same(const health::Counters& a, const health::Counters& b) {
    return a.bytes_tested == b.bytes_tested && a.bytes_released == b.bytes_released &&
           a.bytes_discarded == b.bytes_discarded && a.blocks_passed == b.blocks_passed &&
           a.blocks_failed == b.blocks_failed && a.monobit == b.monobit && a.poker == b.poker &&
           a.runs == b.runs && a.long_run == b.long_run && a.continuous == b.continuous &&
           a.repetition == b.repetition && a.proportion == b.proportion && a.fips_rate == b.fips_rate;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in({data, size});
    const Cuts cuts(in.byte());
    const Byte choice = in.byte();
    const health::Settings settings{.min_entropy = (choice >> 1) % 33 / 4.0, .fips = (choice & 1) != 0};
    const auto all = stretches(in);

    Monitor whole(settings), pieces(settings);
    must(run(whole, all, Cuts(0)) == run(pieces, all, cuts), "any cutting releases the same");
    must(whole.state() == pieces.state() && whole.failure() == pieces.failure() &&
             whole.detail() == pieces.detail() && whole.bytes_held() == pieces.bytes_held(),
         "any cutting fails at the same byte");
    must(same(whole.counters(), pieces.counters()), "any cutting counts the same");
    return 0;
}
