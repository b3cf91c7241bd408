// Makers of the sources that need a library which not every build has (meson.options).
#pragma once

#include <memory>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/source.h"

namespace ekey {

std::unique_ptr<Source> make_havege(Loop& loop); // in builds with EKEYD_HAVEGE
std::unique_ptr<Source> make_jitter(Loop& loop); // in builds with EKEYD_JITTER

} // namespace ekey
