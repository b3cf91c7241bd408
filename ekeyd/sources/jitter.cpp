// jitter: Stephan Müller's CPU jitter generator, from libjitterentropy.
#include <jitterentropy.h>
#include <sys/types.h>

#include "ekeyd/sources/processor_noise.h"
#include "ekeyd/sources/processor_noise_source.h"

namespace ekey {

namespace {

// The library hashes at least 256 timings, each credited with one bit, into 256 bits, and tests the timings
// itself (SP 800-90B). What a timing really holds depends on the machine, in a virtual one on the host, too:
// half of it.
constexpr double claim = 4.0;

class Jitter final : public ProcessorNoise {
  public:
    static Result<std::unique_ptr<ProcessorNoise>> make() {
        if (const int error = jent_entropy_init(); error != 0) {
            return fail("jitter: the processor's clock is not fit for it (error " + std::to_string(error) +
                        ")");
        }
        rand_data* collector = jent_entropy_collector_alloc(1, 0);
        if (collector == nullptr) {
            return fail("jitter: no memory");
        }
        return std::unique_ptr<ProcessorNoise>(new Jitter(collector)); // private constructor
    }
    ~Jitter() override { jent_entropy_collector_free(collector_); }

    Result<void> fill(ByteSpan out) override {
        const auto got = jent_read_entropy(collector_, reinterpret_cast<char*>(out.data()), out.size());
        if (got != static_cast<ssize_t>(out.size())) {
            return fail("jitter: its own health test has failed (error " + std::to_string(got) + ")");
        }
        return {};
    }

  private:
    explicit Jitter(rand_data* collector) : collector_(collector) {}
    rand_data* collector_;
};

} // namespace

std::unique_ptr<Source> make_jitter(Loop& loop) {
    return std::make_unique<ProcessorNoiseSource>(loop, "jitter:", Jitter::make, claim);
}

} // namespace ekey
