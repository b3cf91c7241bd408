// One run of bytes made from several answers.
#pragma once

#include <vector>

#include "protocol/bytes.h"

namespace ekey {

// Fills `out` from answers that are each of its size. A single answer is copied. Of several, each 64 bytes of
// `out` are the BLAKE2b-512 hash of the same 64 bytes of all of them: as hard to guess as the hardest of the
// answers, also when one of them is known, chosen, or a copy of another (which an exclusive or would cancel).
void mix_answers(const std::vector<ByteView>& answers, ByteSpan out);

// True when it is one value again and again, which no generator with any health test gives out.
bool is_constant(ByteView bytes);

} // namespace ekey
