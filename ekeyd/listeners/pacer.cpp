#include "ekeyd/listeners/pacer.h"

#include <algorithm>
#include <cassert>

namespace ekey {

Pacer::Pacer(const Rate& client, const ClientNetworks::Options& networks)
    : client_rate_(client), network_rate_(networks.rate), networks_(networks) {
    assert(!client.limited() || client.burst >= smallest_burst);
    assert(!networks.rate.limited() || networks.rate.burst >= smallest_burst);
}

bool Pacer::enter(Id id, const IpAddress& from, Time now) {
    ClientNetwork* network = nullptr;
    if (from.family != IpAddress::Family::none) {
        network = networks_.enter(from, now);
        if (network == nullptr) {
            return false;
        }
    }
    if (id >= clients_.size()) {
        clients_.resize(id + 1);
    }
    clients_[id] = Client{};
    clients_[id].network = network;
    return true;
}

void Pacer::leave(Id id, Time now) {
    Client& client = clients_[id];
    if (client.place != Place::none) {
        --held_;
    }
    if (client.place == Place::own) {
        own_.erase({client.ready, id});
    }
    if (client.place == Place::line) {
        client.network->line.erase({client.due, id});
        find_next(*client.network);
    }
    if (client.network != nullptr) {
        networks_.leave(*client.network, now);
    }
    client = Client{};
}

std::size_t Pacer::allowed(Id id, std::size_t count, Time now) const {
    const Client& client = clients_[id];
    std::uint64_t most = count;
    if (client_rate_.limited()) {
        most = std::min(most, client.bucket.level(client_rate_, now));
    }
    if (client.network != nullptr && network_rate_.limited()) {
        most = client.network->line.empty() ? std::min(most, client.network->bucket.level(network_rate_, now))
                                            : 0;
    }
    return static_cast<std::size_t>(most);
}

void Pacer::take(Id id, std::size_t bytes, Time now) {
    take(clients_[id], bytes, now);
}

void Pacer::take(Client& client, std::size_t bytes, Time now) {
    if (client_rate_.limited()) {
        client.bucket.take(client_rate_, bytes, now);
    }
    if (client.network != nullptr && network_rate_.limited()) {
        client.network->bucket.take(network_rate_, bytes, now);
        find_next(*client.network);
    }
}

bool Pacer::pass(Id id, std::size_t count, Time now) {
    Client& client = clients_[id];
    if (client_rate_.limited() && now < client.bucket.ready_at(client_rate_, count)) {
        return false;
    }
    if (client.network != nullptr && network_rate_.limited() &&
        (!client.network->line.empty() || now < client.network->bucket.ready_at(network_rate_, count))) {
        return false;
    }
    take(client, count, now);
    return true;
}

void Pacer::hold(Id id, std::size_t count, Time now) {
    Client& client = clients_[id];
    assert(client.place == Place::none && count <= smallest_burst);
    client.count = static_cast<std::uint16_t>(count);
    ++held_;
    client.ready = client_rate_.limited() ? client.bucket.ready_at(client_rate_, count) : now;
    if (now < client.ready || !line_up(id)) {
        client.place = Place::own;
        own_.insert({client.ready, id});
    }
}

// False when no network holds it up.
bool Pacer::line_up(Id id) {
    Client& client = clients_[id];
    if (client.network == nullptr || !network_rate_.limited()) {
        return false;
    }
    client.place = Place::line;
    client.due = client.network->now + client.count;
    client.network->line.insert({client.due, id});
    find_next(*client.network);
    return true;
}

// Keeps `next` and lines_ as they should be after a change of the line or the bucket.
void Pacer::find_next(ClientNetwork& network) {
    Time next = Time::max();
    if (!network.line.empty()) {
        next = network.bucket.ready_at(network_rate_, clients_[network.line.begin()->second].count);
    }
    if (next == network.next) {
        return;
    }
    if (network.next != Time::max()) {
        lines_.erase({network.next, &network});
    }
    if (next != Time::max()) {
        lines_.insert({next, &network});
    }
    network.next = next;
}

std::optional<Pacer::Id> Pacer::release(Time now) {
    while (!own_.empty() && own_.begin()->first <= now) {
        const Id id = own_.begin()->second;
        own_.erase(own_.begin());
        if (!line_up(id)) {
            Client& client = clients_[id];
            client.place = Place::none;
            --held_;
            take(client, client.count, now);
            return id;
        }
    }
    if (lines_.empty() || lines_.begin()->first > now) {
        return std::nullopt;
    }
    ClientNetwork& network = *lines_.begin()->second;
    const auto [due, id] = *network.line.begin();
    network.line.erase(network.line.begin());
    network.now = due;
    Client& client = clients_[id];
    client.place = Place::none;
    --held_;
    take(client, client.count, now);
    return id;
}

Time Pacer::next() const {
    const Time own = own_.empty() ? Time::max() : own_.begin()->first;
    return lines_.empty() ? own : std::min(own, lines_.begin()->first);
}

} // namespace ekey
