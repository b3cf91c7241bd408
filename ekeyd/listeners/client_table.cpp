#include "ekeyd/listeners/client_table.h"

#include <new>

#include "ekeyd/runtime/log.h"

namespace ekey {

ClientTable::ClientTable(Loop& loop, Pool& pool, std::unique_ptr<Supply> supply, std::string address,
                         std::size_t max_clients, Duration look_after_every)
    : loop_(loop), pool_(pool), supply_(std::move(supply)), address_(std::move(address)),
      max_clients_(max_clients), look_after_every_(look_after_every), lost_timer_(loop),
      unwatched_timer_(loop), ready_timer_(loop) {
    lost_timer_.bind<&ClientTable::close_lost>(this);
    unwatched_timer_.bind<&ClientTable::look_after_unwatched>(this);
    ready_timer_.bind<&ClientTable::let_waiting_try>(this);
    supply_->on_ready([this] {
        if (counters_.waiting > 0) {
            ready_timer_.start(Duration::zero());
        }
    });
}

ClientTable::~ClientTable() = default;

void ClientTable::admit(Fd socket) {
    if (counters_.clients == max_clients_) {
        ++counters_.refused;
        if (const auto times = said_full_.count(Loop::now())) {
            log::warning("clients refused: as many as max-clients are connected",
                         {{"listener", address_}, {"max_clients", max_clients_}, {"times", times}});
        }
        return;
    }
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
        ++counters_.refused;
        return;
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    cell(index).emplace(*this, loop_, std::move(socket), index);
    ++counters_.accepted;
    ++counters_.clients;
}

void ClientTable::close(Client& client) {
    const std::uint32_t index = client.index();
    cell(index).reset();
    free_.push_back(index);
    --counters_.clients;
    ++counters_.closed;
    pool_.serve(); // the others may have waited for it alone, or for its next request
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

void ClientTable::no_slot() {
    if (const auto times = said_no_slot_.count(Loop::now())) {
        log::warning("clients closed: they do not read their answers, and too many others do not either",
                     {{"listener", address_}, {"times", times}});
    }
}

} // namespace ekey
