#include "ekeyd/sealed/node.h"

#include <algorithm>

namespace ekey {

using sealed::Fault, sealed::Hello;

std::optional<Hello> SealedNode::make_offer() const {
    std::vector<const Hello*> upstreams;
    upstreams.reserve(upstreams_.size());
    for (const auto& [_, hello] : upstreams_) {
        upstreams.push_back(&hello);
    }
    return sealed::offer(keys().public_key, Hello::default_hop_limit, upstreams);
}

Fault SealedNode::accept(const void* upstream, const Hello& hello) {
    if (const Fault fault = sealed::judge(hello, keys().public_key); fault != Fault::none) {
        return fault;
    }
    const auto known = upstreams_.find(upstream);
    const std::optional<Hello> before =
        known == upstreams_.end() ? std::nullopt : std::optional(known->second);
    upstreams_.insert_or_assign(upstream, hello);
    auto offered = make_offer();
    if (!offered) {
        if (before) {
            upstreams_.insert_or_assign(upstream, *before);
        } else {
            upstreams_.erase(upstream);
        }
        return Fault::too_far;
    }
    const Hello told = std::exchange(offer_, std::move(*offered));
    const bool more = std::any_of(offer_.path.begin(), offer_.path.end(), [&](const sealed::PublicKey& key) {
        return std::find(told.path.begin(), told.path.end(), key) == told.path.end();
    });
    if ((more || offer_.hop_limit < told.hop_limit) && path_grown_) {
        path_grown_();
    }
    return Fault::none;
}

void SealedNode::forget(const void* upstream) {
    upstreams_.erase(upstream);
    offer_ = *make_offer();
}

} // namespace ekey
