#include "ekeyd/listeners/sealed_listener.h"

#include <algorithm>

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

// What a table's limits call a network is a peer here, wherever its links come from: its key in the form of
// an address. Half of a key is as hard to come by twice as a tag is to forge.
IpAddress as_network(const sealed::PublicKey& key) {
    IpAddress made;
    made.family = IpAddress::Family::v6;
    std::copy_n(key.begin(), made.bytes.size(), made.bytes.begin());
    return made;
}

} // namespace

SealedListener::SealedListener(Loop& loop, Pool& pool, const config::Address& address, Options options,
                               Peers peers, SealedNode& node)
    : SocketListener(loop, address), loop_(loop), pool_(pool), options_(std::move(options)),
      peers_(std::move(peers)), node_(node), minute_(loop) {
    minute_.bind<&SealedListener::on_minute>(this);
    minute_.every(std::chrono::minutes(1));
}

SealedListener::~SealedListener() = default;

std::size_t SealedListener::clients() const {
    std::size_t number = greetings_.size();
    for (const auto& [_, table] : tables_) {
        number += table->counters().clients;
    }
    return number;
}

// ---- a connection until it is known

void SealedListener::refuse(const char* why, const IpAddress& from, Throttle& said) {
    ++own_.refused;
    if (const auto times = said.count(Loop::now())) {
        log::notice("sealed connections refused",
                    {{"listener", address()}, {"reason", why}, {"last_from", from.text()}, {"times", times}});
    }
}

void SealedListener::on_accepted(Fd socket, const IpAddress& from) {
    if (!options_.limits.access.admits(from)) {
        ++own_.denied;
        refuse("its network is not allowed", from, said_limit_);
        return;
    }
    if (clients() >= options_.limits.max_clients) {
        refuse("as many as max-clients are connected", from, said_limit_);
        return;
    }
    if (!handshakes_.enter(from, Loop::now())) {
        refuse("too many handshakes at once", from, said_limit_);
        return;
    }
    try {
        greetings_.push_back(std::make_unique<Greeting>(
            loop_, static_cast<GreetingOwner&>(*this), std::move(socket), from,
            options_.limits.timeouts.handshake, node_.keys(), responders_, transports_));
    } catch (const std::exception&) { // no more memory, or none that may be locked: the client pays
        handshakes_.leave(from, Loop::now());
        refuse("there is no memory for it", from, said_limit_);
    }
}

void SealedListener::remove(Greeting& greeting) {
    handshakes_.leave(greeting.from(), Loop::now());
    const auto found = std::find_if(greetings_.begin(), greetings_.end(),
                                    [&](const auto& each) { return each.get() == &greeting; });
    std::swap(*found, greetings_.back());
    greetings_.pop_back();
}

const sealed::Hello* SealedListener::on_asked(const Greeting&, const sealed::PublicKey& key) {
    const Peer* const peer = peers_.find(key);
    if (peer == nullptr) {
        return nullptr;
    }
    told_ = node_.offer();
    // The generator's output is no fresh entropy beyond its own strength: not to be counted again.
    const bool drbg = peer->drbg.value_or(options_.drbg.has_value());
    told_.credit = peer->credit == sealed::Hello::no_advice && drbg ? Byte{0} : peer->credit;
    return &told_;
}

void SealedListener::on_over(Greeting& greeting, const char* why) {
    if (why == nullptr) {
        ++own_.denied;
        refuse("its key is not in the peers file", greeting.from(), said_unknown_);
    } else {
        ++own_.protocol_errors;
        refuse(why, greeting.from(), said_failed_);
    }
    remove(greeting);
}

void SealedListener::on_known(Greeting& greeting, Fd socket, std::unique_ptr<Seal> seal) {
    const Peer* const peer = peers_.find(seal->key()); // the file may be another one by now
    if (peer == nullptr) {
        on_over(greeting, nullptr);
        return;
    }
    if (links_of(seal->key()) >= links_of_peer) {
        on_over(greeting, "a peer has as many links as it may");
        return;
    }
    log::debug("sealed client", {{"listener", address()},
                                 {"peer", peer->name},
                                 {"from", greeting.from().text()},
                                 {"plain", greeting.plain() ? "yes" : "no"}});
    try {
        const IpAddress network = as_network(seal->key());
        table_for(*peer).admit(std::move(socket), network, std::move(seal));
    } catch (const std::exception& refused) { // no memory may be locked
        on_over(greeting, refused.what());
        return;
    }
    remove(greeting);
}

// ---- its clients

std::size_t SealedListener::links_of(const sealed::PublicKey& key) const {
    std::size_t links = 0;
    for (const auto& [_, table] : tables_) {
        links += table->count_if([&](const Client& client) { return client.seal()->key() == key; });
    }
    return links;
}

ClientTable& SealedListener::table_for(const Peer& peer) {
    const bool drbg = peer.drbg.value_or(options_.drbg.has_value());
    const std::uint64_t rate = peer.rate != 0 ? peer.rate : options_.limits.rate.bytes_per_s;
    auto& table = tables_[{drbg, rate}];
    if (!table) {
        Limits limits = options_.limits;
        limits.access = {};
        limits.timeouts.handshake = {};
        limits.network = {.prefix4 = 32, .prefix6 = 128, .rate = limits.rate, .max_clients = 0};
        if (peer.rate != 0) {
            limits.network.rate = {peer.rate, std::max(peer.rate, Pacer::smallest_burst)};
        }
        limits.rate = {};
        table = std::make_unique<ClientTable>(loop_, pool_,
                                              drbg ? drbg_supply(pool_, options_.drbg.value_or(DrbgOptions{}))
                                                   : full_entropy_supply(pool_),
                                              address(), std::move(limits), options_.mixer);
    }
    return *table;
}

Listener::Counters SealedListener::counters() const {
    Counters sum = own_;
    for (const auto& [_, table] : tables_) {
        sum += table->counters();
    }
    return sum;
}

Result<void> SealedListener::check_files() const {
    const auto read = Peers::read(options_.peers_file);
    return read ? Result<void>() : tl::unexpected(read.error());
}

Result<void> SealedListener::reload() {
    auto read = Peers::read(options_.peers_file);
    if (!read) {
        return tl::unexpected(read.error());
    }
    const Peers before = std::exchange(peers_, std::move(*read));
    for (const auto& [_, table] : tables_) {
        table->close_if([&](const Client& client) {
            const Peer* const now = peers_.find(client.seal()->key());
            const Peer* const then = before.find(client.seal()->key());
            return now == nullptr || then == nullptr || *now != *then;
        });
    }
    log::notice("peers read again", {{"listener", address()}, {"peers", peers_.size()}});
    return {};
}

void SealedListener::on_path_grown() {
    for (const auto& [_, table] : tables_) {
        table->close_if([](const Client&) { return true; });
    }
}

void SealedListener::on_minute() {
    end_old(Loop::now());
}

void SealedListener::end_old(Time now) {
    for (const auto& [_, table] : tables_) {
        table->close_if([now](const Client& client) { return client.seal()->is_old(now); });
    }
}

} // namespace ekey
