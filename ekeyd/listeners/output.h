// Which supply a listener's address asks for.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "ekeyd/config/address.h"
#include "ekeyd/listeners/supply.h"
#include "protocol/result.h"

namespace ekey {

inline constexpr std::array<std::string_view, 3> output_parameters{"output", "max-age",
                                                                   "prediction-resistance"};

// Reads output=full-entropy|drbg, max-age=SECONDS and prediction-resistance=yes|no; nothing is full entropy.
Result<std::optional<DrbgOptions>> read_output(const config::Address& address);

std::unique_ptr<Supply> make_supply(Pool& pool, const std::optional<DrbgOptions>& drbg, bool local);

} // namespace ekey
