// Finds every Entropy Key in a folder, now and later: entropykey:/dev/entropykey/. udev's rules link them
// there, and AddEntropyKeys of ekeyd 1.1.5 names it.
#pragma once

#include <set>
#include <string>

#include "ekeyd/config/address.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/sources/finder.h"

namespace ekey {

class FolderFinder final : public Finder {
  public:
    // `address` is entropykey:FOLDER/ with the parameters that each of the sources gets. The folder need not
    // be there yet. It is looked at from the loop, at once and then every `interval`: a look costs a few
    // microseconds, and a folder that does not exist cannot be watched.
    FolderFinder(Loop& loop, const config::Address& address, FinderOwner& owner,
                 Duration interval = std::chrono::seconds(2));

  private:
    void look();

    std::string kind_, folder_, parameters_; // the last as they stand in an address
    std::set<std::string> there_;            // names, at the last look
    Duration interval_;
    Timer timer_;
};

} // namespace ekey
