// Both sides hash the same text before anything else, so that another version does not even shake hands.
#pragma once

#include "protocol/bytes.h"

namespace ekey::sealed {

inline constexpr std::string_view prologue = "ekeyd sealed 1";
// Who implements no more than the Noise protocol and the lengths has an empty prologue. Its messages have
// empty payloads, and there is no re-keying.
inline constexpr std::string_view plain_prologue;

} // namespace ekey::sealed
