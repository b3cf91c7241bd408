// A client leaves for another process, or comes from one.
#include <sys/socket.h>

#include "ekeyd/listeners/client_table.h"
#include "protocol/egd/client.h"

namespace ekey {

std::optional<KeptClient> Client::let_go() {
    if (seal_) {
        return std::nullopt;
    }
    if (state_ == State::stalled) { // it may have read since
        const ssize_t sent = write(table_.unsent().held(unsent_));
        if (sent > 0 && table_.unsent().consume(unsent_, static_cast<std::size_t>(sent))) {
            enter(State::reading);
        }
    }
    if (state_ == State::stalled || state_ == State::lost) {
        return std::nullopt;
    }
    KeptClient kept;
    Byte begun[egd::write_header];
    // The request that waits was parsed as a whole, and what is behind it not at all.
    static_assert(sizeof begun >= egd::max_request);
    kept.owed.add(ByteView(begun).first(has_pending_ ? egd::encode_request(pending_, begun)
                                                     : parser_.encode_position(begun)));
    kept.owed.add(ByteView(input_).first(held_));
    watcher_.stop();
    enter(State::lost);
    kept.socket = std::move(socket_);
    return kept;
}

void Client::go_on_with(ByteView owed) {
    quiet_.heard(); // it has made its first request long ago
    work(owed);
    settle();
}

std::vector<KeptClient> ClientTable::let_go() {
    std::vector<KeptClient> kept;
    kept.reserve(counters_.clients);
    for (const auto& block : blocks_) {
        for (auto& client : *block) {
            if (auto one = client && !client->lost() ? client->let_go() : std::nullopt) {
                kept.push_back(std::move(*one));
                forget(*client);
            }
        }
    }
    return kept;
}

bool ClientTable::take_over(KeptClient kept) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    if (getpeername(kept.socket.get(), reinterpret_cast<sockaddr*>(&from), &size) != 0) {
        return false; // it is gone
    }
    Client* const client = enter(std::move(kept.socket), IpAddress::of(from), {});
    if (client != nullptr) {
        client->go_on_with(kept.owed.view());
    }
    return client != nullptr;
}

} // namespace ekey
