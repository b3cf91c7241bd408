// Standard input, output and error, as whoever started the program has left them.
#pragma once

#include <cstdio>

#include "protocol/result.h"

namespace ekey {

// Opens those that are closed on /dev/null, so that no file or socket that is opened later gets their numbers
// and what is printed. To be called before anything else is opened. Writing to a closed output fails still.
void fill_standard_files();

// Writes out what was printed. An Error when it did not all get there, as on a full disk.
Result<void> flush_output(std::FILE* out = stdout);

} // namespace ekey
