#include "ekeyd/listeners/handshake_limits.h"

namespace ekey {

namespace {
IpAddress network_of(const IpAddress& from) {
    return from.masked(from.family == IpAddress::Family::v4 ? HandshakeLimits::prefix4
                                                            : HandshakeLimits::prefix6);
}
} // namespace

bool HandshakeLimits::enter(const IpAddress& from, Time now) {
    if (in_flight_ == most) {
        return false;
    }
    if (entries_.size() >= most_remembered) {
        forget_full(now);
    }
    const IpAddress network = network_of(from);
    auto entry = entries_.find(network);
    if (entry == entries_.end() && entries_.size() < most_remembered) {
        entry = entries_.emplace(network, Entry{}).first;
    }
    if (entry != entries_.end()) {
        Entry& known = entry->second;
        if (known.in_flight == most_of_address || known.bucket.ready_at(rate, 1) > now) {
            return false;
        }
        ++known.in_flight;
        known.bucket.take(rate, 1, now);
    }
    ++in_flight_;
    return true;
}

void HandshakeLimits::leave(const IpAddress& from, Time now) {
    --in_flight_;
    const auto entry = entries_.find(network_of(from));
    if (entry == entries_.end() || entry->second.in_flight == 0) {
        return; // let in unremembered
    }
    if (--entry->second.in_flight == 0 && entry->second.bucket.full(now)) {
        entries_.erase(entry);
    }
}

void HandshakeLimits::forget_full(Time now) {
    std::erase_if(entries_, [now](const auto& entry) {
        return entry.second.in_flight == 0 && entry.second.bucket.full(now);
    });
}

} // namespace ekey
