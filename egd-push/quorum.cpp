#include "egd-push/quorum.h"

#include <algorithm>

namespace ekey {

unsigned Quorum::credit(const sealed::PublicKey* key, unsigned bits, Time now) {
    if (needed_ == 0) {
        return bits;
    }
    if (key == nullptr || bits == 0) {
        return 0;
    }
    std::erase_if(open_, [&](const Contribution& c) { return c.key == *key || now - c.at > round_; });
    open_.push_back({*key, bits, now});
    if (open_.size() < needed_) {
        return 0;
    }
    const auto least =
        std::min_element(open_.begin(), open_.end(),
                         [](const Contribution& a, const Contribution& b) { return a.bits < b.bits; });
    const unsigned credited = least->bits;
    open_.clear();
    return credited;
}

} // namespace ekey
