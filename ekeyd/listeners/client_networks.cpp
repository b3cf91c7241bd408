#include "ekeyd/listeners/client_networks.h"

namespace ekey {

ClientNetwork* ClientNetworks::enter(const IpAddress& from, Time now) {
    const bool v4 = from.family == IpAddress::Family::v4;
    const auto [found, fresh] = networks_.try_emplace(from.masked(v4 ? options_.prefix4 : options_.prefix6));
    ClientNetwork& network = found->second.shared;
    if (options_.max_clients > 0 && network.clients >= options_.max_clients) {
        return nullptr;
    }
    if (!fresh && network.clients == 0) {
        left_.erase(found->second.left);
    }
    network.address = &found->first;
    ++network.clients;
    forget_some(now);
    return &network;
}

void ClientNetworks::leave(ClientNetwork& network, Time now) {
    if (--network.clients > 0) {
        return;
    }
    const auto* const address = network.address;
    networks_.find(*address)->second.left = left_.insert(left_.end(), address);
    forget_some(now);
}

// Those that were left first are full first, or nearly so.
void ClientNetworks::forget_some(Time now) {
    while (!left_.empty()) {
        const auto first = networks_.find(*left_.front());
        if (left_.size() <= most_remembered && !first->second.shared.bucket.full(now)) {
            break;
        }
        left_.pop_front();
        networks_.erase(first);
    }
}

} // namespace ekey
