#include "ekeyd/listeners/output.h"

namespace ekey {

namespace {

// A second is the shortest time between two reseeds; a day is longer than anyone should serve on an old seed.
constexpr std::uint64_t shortest_max_age = 1, longest_max_age = 86400;

} // namespace

Result<std::optional<DrbgOptions>> read_output(const config::Address& address) {
    std::optional<DrbgOptions> drbg;
    const std::string* output = address.find("output");
    if (output != nullptr && *output == "drbg") {
        drbg.emplace();
    } else if (output != nullptr && *output != "full-entropy") {
        return fail("output is \"" + *output + "\": it takes full-entropy and drbg");
    }
    const std::string* max_age = address.find("max-age");
    const std::string* resistance = address.find("prediction-resistance");
    if (!drbg && (max_age != nullptr || resistance != nullptr)) {
        return fail(std::string(max_age != nullptr ? "max-age" : "prediction-resistance") +
                    " belongs to output=drbg: full-entropy has no generator that could be too old");
    }
    if (max_age != nullptr) {
        const auto seconds = config::parse_number("max-age", *max_age, shortest_max_age, longest_max_age);
        if (!seconds) {
            return tl::unexpected(seconds.error());
        }
        drbg->max_age = std::chrono::seconds(*seconds);
    }
    if (resistance != nullptr) {
        const auto wanted = config::parse_yes_no("prediction-resistance", *resistance);
        if (!wanted) {
            return tl::unexpected(wanted.error());
        }
        drbg->prediction_resistance = *wanted;
    }
    return drbg;
}

std::unique_ptr<Supply> make_supply(Pool& pool, const std::optional<DrbgOptions>& drbg, bool local) {
    return drbg ? drbg_supply(pool, *drbg, local) : full_entropy_supply(pool, local);
}

} // namespace ekey
