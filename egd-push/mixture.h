// One run of bytes made from several answers.
#pragma once

#include <vector>

#include "protocol/bytes.h"

namespace ekey {

// Fills `out` from answers that all have the same size, its own or a multiple of that. A single answer of its
// size is copied. Otherwise each 64 bytes of `out` are the BLAKE2b-512 hash of the part of every answer that
// is in the same place: as hard to guess as that part of the hardest of them, also when another one is known,
// chosen, or a copy (which an exclusive or would cancel).
void mix_answers(const std::vector<ByteView>& answers, ByteSpan out);

// True when it is one value again and again, which no generator with any health test gives out.
bool is_constant(ByteView bytes);

} // namespace ekey
