// ekeydctl: one command to the daemon, and its answer as text.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace ekey::ctl {

// Carries out the command line (without the program's name) and returns the exit status: 0 done, 1 it ran and
// failed, 2 usage. Answers go to `out`, complaints to `err`.
int run(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err);

} // namespace ekey::ctl
