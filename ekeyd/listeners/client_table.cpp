#include "ekeyd/listeners/client_table.h"

#include <new>

#include "ekeyd/runtime/log.h"

namespace ekey {

ClientTable::ClientTable(Loop& loop, Pool& pool, std::unique_ptr<Supply> supply, std::string address,
                         Limits limits, Mixer* mixer, Duration look_after_every)
    : loop_(loop), pool_(pool), supply_(std::move(supply)), address_(std::move(address)),
      limits_(std::move(limits)), mixer_(limits_.mix_writes ? mixer : nullptr),
      look_after_every_(look_after_every), lost_timer_(loop), unwatched_timer_(loop), ready_timer_(loop),
      pace_timer_(loop), quiet_timer_(loop) {
    lost_timer_.bind<&ClientTable::close_lost>(this);
    unwatched_timer_.bind<&ClientTable::look_after_unwatched>(this);
    ready_timer_.bind<&ClientTable::let_waiting_try>(this);
    pace_timer_.bind<&ClientTable::pace>(this);
    quiet_timer_.bind<&ClientTable::close_quiet>(this);
    supply_->on_ready([this] {
        if (counters_.waiting > 0) {
            ready_timer_.start(Duration::zero());
        }
    });
    if (limits_.rate.limited() || limits_.network.any()) {
        pacer_.emplace(limits_.rate, limits_.network);
    }
    if (limits_.timeouts.any()) {
        quiet_timer_.every(limits_.timeouts.tick());
    }
}

ClientTable::~ClientTable() = default;

void ClientTable::admit(Fd socket, const IpAddress& from, std::unique_ptr<Seal> seal) {
    if (Client* const client = enter(std::move(socket), from, std::move(seal))) {
        client->begin();
    }
}

// Null when the limits say no.
Client* ClientTable::enter(Fd socket, const IpAddress& from, std::unique_ptr<Seal> seal) {
    if (!may_come(socket.get(), from)) {
        ++counters_.refused;
        return nullptr;
    }
    const auto index = free_place();
    if (!index) {
        ++counters_.refused;
        return nullptr;
    }
    if (pacer_ && !pacer_->enter(*index, from, Loop::now())) {
        ++counters_.refused;
        ++counters_.network_full;
        if (const auto times = said_network_full_.count(Loop::now())) {
            log::warning("clients refused: as many of their network as max-clients-network are connected",
                         {{"listener", address_}, {"address", from.text()}, {"times", times}});
        }
        return nullptr;
    }
    free_.pop_back();
    cell(*index).emplace(*this, loop_, std::move(socket), *index, std::move(seal));
    ++counters_.accepted;
    ++counters_.clients;
    return &*cell(*index);
}

bool ClientTable::may_come(int socket, const IpAddress& from) {
    const bool unix_peer = from.family == IpAddress::Family::none;
    if (unix_peer ? !limits_.peers.admits(socket) : !limits_.access.admits(from)) {
        ++counters_.denied;
        if (const auto times = said_denied_.count(Loop::now())) {
            log::notice(
                "clients refused: the listener's rules do not admit them",
                {{"listener", address_}, {"address", unix_peer ? "local" : from.text()}, {"times", times}});
        }
        return false;
    }
    if (counters_.clients == limits_.max_clients) {
        if (const auto times = said_full_.count(Loop::now())) {
            log::warning("clients refused: as many as max-clients are connected",
                         {{"listener", address_}, {"max_clients", limits_.max_clients}, {"times", times}});
        }
        return false;
    }
    return true;
}

// It stays in free_ until it is taken. Nothing when there is no memory for more.
std::optional<std::uint32_t> ClientTable::free_place() {
    try {
        if (free_.empty()) {
            const auto first = static_cast<std::uint32_t>(blocks_.size() * block_size);
            free_.reserve(first + block_size); // so that giving a place back never fails
            blocks_.push_back(std::make_unique<Block>());
            for (std::uint32_t i = block_size; i > 0; --i) {
                free_.push_back(first + i - 1);
            }
        }
    } catch (const std::bad_alloc&) {
        return std::nullopt;
    }
    return free_.back();
}

void ClientTable::close(Client& client) {
    forget(client);
    ++counters_.closed;
    pool_.serve(); // the others may have waited for it alone, or for its next request
}

void ClientTable::forget(Client& client) {
    const std::uint32_t index = client.index();
    cell(index).reset();
    if (pacer_) {
        pacer_->leave(index, Loop::now());
        pace_timer_.at(pacer_->next());
    }
    free_.push_back(index);
    --counters_.clients;
}

std::size_t ClientTable::count_if(const std::function<bool(const Client&)>& counts) const {
    std::size_t count = 0;
    for (const auto& block : blocks_) {
        for (const auto& client : *block) {
            count += client && counts(*client) ? 1 : 0;
        }
    }
    return count;
}

void ClientTable::close_if(const std::function<bool(const Client&)>& should_go) {
    for (const auto& block : blocks_) {
        for (auto& client : *block) {
            if (client && !client->lost() && should_go(*client)) { // those are closed later
                close(*client);
            }
        }
    }
}

void ClientTable::close_later(Client& client) {
    lost_.push_back(client.index());
    lost_timer_.start(Duration::zero());
}

void ClientTable::close_lost() {
    while (!lost_.empty()) { // those whose turn a close() makes it may join
        const std::uint32_t index = lost_.back();
        lost_.pop_back();
        close(*cell(index));
    }
}

// All of them can have what they wait for, so their order is of no weight.
void ClientTable::let_waiting_try() {
    for (const auto& block : blocks_) {
        for (auto& client : *block) {
            if (client) {
                client->try_again();
            }
        }
    }
}

void ClientTable::hold(Client& client, std::size_t count) {
    const Time now = Loop::now();
    pacer_->hold(client.index(), count, now);
    pace_timer_.at(pacer_->next());
    ++counters_.delayed;
    if (const auto times = said_delayed_.count(now)) {
        log::info("requests wait: their clients have had what their rate allows",
                  {{"listener", address_}, {"times", times}});
    }
}

// Those whose rate allows it go on.
void ClientTable::pace() {
    const Time now = Loop::now();
    while (const auto index = pacer_->release(now)) {
        cell(*index)->rate_allows();
    }
    pace_timer_.at(pacer_->next());
}

void ClientTable::close_quiet() {
    for (const auto& block : blocks_) {
        for (auto& client : *block) {
            if (client && client->quiet_for_too_long(limits_.timeouts)) {
                ++counters_.timed_out;
                if (const auto times = said_quiet_.count(Loop::now())) {
                    log::info("clients closed: nothing came from them for too long",
                              {{"listener", address_}, {"times", times}});
                }
                close(*client);
            }
        }
    }
}

void ClientTable::written(ByteView bytes) {
    counters_.bytes_written += bytes.size();
    if (mixer_ == nullptr) {
        return;
    }
    if (const Time now = Loop::now(); mixed_.level(mixing_rate, now) >= bytes.size()) {
        mixed_.take(mixing_rate, bytes.size(), now);
        counters_.bytes_mixed += bytes.size();
        mixer_->mix(bytes);
    }
}

void ClientTable::watch_over_unwatched() {
    if (!unwatched_timer_.active()) {
        unwatched_timer_.every(look_after_every_);
    }
}

void ClientTable::look_after_unwatched() {
    bool any = false;
    for (const auto& block : blocks_) {
        for (auto& client : *block) {
            if (client && client->unwatched()) {
                any = true;
                if (client->vanished()) {
                    close(*client);
                }
            }
        }
    }
    if (!any) {
        unwatched_timer_.stop();
    }
}

void ClientTable::garbage() {
    ++counters_.protocol_errors;
    if (const auto times = said_garbage_.count(Loop::now())) {
        log::notice("clients closed: what they sent is no EGD", {{"listener", address_}, {"times", times}});
    }
}

void ClientTable::unwatchable() {
    if (const auto times = said_unwatchable_.count(Loop::now())) {
        log::warning("clients closed: the kernel watches no more sockets for this user: raise "
                     "fs.epoll.max_user_watches",
                     {{"listener", address_}, {"times", times}});
    }
}

void ClientTable::broken_seal(sealed::Fault fault) {
    ++counters_.protocol_errors;
    if (const auto times = said_broken_.count(Loop::now())) {
        log::warning("sealed links ended",
                     {{"listener", address_}, {"reason", sentence(fault)}, {"times", times}});
    }
}

void ClientTable::no_slot() {
    if (const auto times = said_no_slot_.count(Loop::now())) {
        log::warning("clients closed: they do not read their answers, and too many others do not either",
                     {{"listener", address_}, {"times", times}});
    }
}

} // namespace ekey
