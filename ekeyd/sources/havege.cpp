// havege: the generator of haveged, from its library. The library is under the GPL, version 3 or later, and
// so is a program that is linked with it; therefore it is off unless asked for (meson.options).
#include <cstring>

#include <haveged/havege.h>

#include "ekeyd/sources/processor_noise.h"
#include "ekeyd/sources/processor_noise_source.h"

namespace ekey {

namespace {

// HAVEGE walks through a table, steered by the processor's clock. Its output passes every statistical test
// even when the clock is replaced by a constant, so no test tells how much of it is noise, and nobody has
// shown a bound, in a virtual machine least of all. One bit a byte is what is left after a deep cut.
constexpr double claim = 1.0;

class Havege final : public ProcessorNoise {
  public:
    static Result<std::unique_ptr<ProcessorNoise>> make() {
        H_PARAMS parameters{};
        H_PTR handle = havege_create(&parameters);
        if (handle == nullptr) {
            return fail("havege: no memory");
        }
        std::unique_ptr<Havege> made(new Havege(handle)); // private constructor
        // The library's own tests run here, once; ours follow on every byte.
        if (handle->error != H_NOERR || havege_run(handle) != 0) {
            return fail("havege: it does not run on this machine (error " + std::to_string(handle->error) +
                        ")");
        }
        return made;
    }
    ~Havege() override { havege_destroy(handle_); }

    Result<void> fill(ByteSpan out) override {
        const auto words = static_cast<H_UINT>(out.size() / sizeof(H_UINT));
        if (havege_rng(handle_, handle_->io_buf, words) != static_cast<int>(words)) {
            return fail("havege: it has failed (error " + std::to_string(handle_->error) + ")");
        }
        std::memcpy(out.data(), handle_->io_buf, out.size());
        wipe({reinterpret_cast<Byte*>(handle_->io_buf), out.size()});
        return {};
    }

  private:
    explicit Havege(H_PTR handle) : handle_(handle) {}
    H_PTR handle_;
};

} // namespace

std::unique_ptr<Source> make_havege(Loop& loop) {
    return std::make_unique<ProcessorNoiseSource>(loop, "havege:", Havege::make, claim);
}

} // namespace ekey
