#include "ekeyd/http/pollen_service.h"

#include <exception>

#include "ekeyd/runtime/log.h"

namespace ekey::http {

PollenService::PollenService(const Library& library, Loop& loop, Pool& pool, std::string address,
                             const Options& options, Mixer* mixer)
    : library_(library), pool_(pool), address_(std::move(address)), options_(options),
      mixer_(options.limits.mix_writes ? mixer : nullptr),
      supply_(make_supply(pool, options.drbg, options.limits.local)), ready_timer_(loop), pace_timer_(loop),
      wait_timer_(loop), refusals_(library) {
    ready_timer_.bind<&PollenService::let_waiting_try>(this);
    pace_timer_.bind<&PollenService::pace>(this);
    wait_timer_.bind<&PollenService::end_waits>(this);
    supply_->on_ready([this] {
        if (counters_.waiting > 0) {
            ready_timer_.start(Duration::zero());
        }
    });
    if (options_.limits.rate.limited() || options_.limits.network.any()) {
        pacer_.emplace(options_.limits.rate, options_.limits.network);
    }
}

PollenService::~PollenService() = default;

// ---- connections

std::optional<PollenService::Place> PollenService::enter(const IpAddress& from) {
    if (free_.empty()) {
        free_.push_back(static_cast<Place>(clients_.size()));
        clients_.push_back(nullptr);
        free_.reserve(clients_.size()); // so that giving a place back never fails
    }
    const Place place = free_.back();
    if (pacer_ && !pacer_->enter(place, from, Loop::now())) {
        ++counters_.refused;
        ++counters_.network_full;
        if (const auto times = said_network_full_.count(Loop::now())) {
            log::warning("clients refused: as many of their network as max-clients-network are connected",
                         {{"listener", address_}, {"address", from.text()}, {"times", times}});
        }
        return std::nullopt;
    }
    free_.pop_back();
    ++counters_.accepted;
    ++counters_.clients;
    return place;
}

void PollenService::leave(Place place) {
    clients_[place] = nullptr;
    free_.push_back(place);
    if (pacer_) {
        pacer_->leave(place, Loop::now());
        pace_timer_.at(pacer_->next());
    }
    --counters_.clients;
    ++counters_.closed;
}

void PollenService::connect(Engine& engine, Fd socket, Place place, std::function<void()> on_shown) {
    coming_ = std::make_unique<PollenClient>(*this, place, std::move(on_shown), options_.limits.local);
    clients_[place] = coming_.get();
    engine.add(std::move(socket));
    if (const auto refused = std::move(coming_)) { // no memory, as a rule
        shown(*refused);
        leave(place);
    }
}

void PollenService::on_connected(Connection& connection) {
    if (coming_) {
        coming_->connection_ = &connection;
        connection.data = std::move(coming_);
    }
}

void PollenService::on_head(Connection& connection) {
    if (auto* const client = static_cast<PollenClient*>(connection.data.get())) {
        shown(*client);
    }
}

void PollenService::shown(PollenClient& client) {
    if (const auto call = std::exchange(client.on_shown_, {})) {
        call();
    }
}

void PollenService::on_disconnected(Connection& connection) {
    if (auto* const client = static_cast<PollenClient*>(connection.data.get())) {
        shown(*client);
        clear(*client);
        leave(client->id_);
    }
}

// ---- a request

std::size_t PollenService::longest_body(const Connection& connection) {
    return connection.method == MHD_HTTP_METHOD_POST ? pollen::longest_form : 0;
}

void PollenService::on_request(Connection& connection) {
    auto* const client = static_cast<PollenClient*>(connection.data.get());
    if (client == nullptr) {
        return; // nobody of ours, and this ends it
    }
    if (client->state_ == PollenClient::State::idle) {
        begin(connection, *client);
    } else {
        finish(connection, *client);
    }
}

void PollenService::begin(Connection& connection, PollenClient& client) {
    ++counters_.requests;
    if (const unsigned status = find_challenge(connection, client.challenge_)) {
        ++counters_.protocol_errors;
        say(connection, status);
        return;
    }
    stir(client.challenge_);
    try {
        client.answer_ = slots_.make();
    } catch (const std::exception& refused) { // no memory may be locked
        if (const auto times = said_no_memory_.count(Loop::now())) {
            log::warning("requests turned away",
                         {{"listener", address_}, {"reason", refused.what()}, {"times", times}});
        }
        say(connection, MHD_HTTP_SERVICE_UNAVAILABLE);
        return;
    }
    const Time now = Loop::now();
    client.until_ = now + options_.wait;
    if (pacer_ && !pacer_->pass(client.id_, pollen::seed_size, now)) {
        set_aside(client);
        client.state_ = PollenClient::State::held_back;
        pacer_->hold(client.id_, pollen::seed_size, now);
        pace_timer_.at(pacer_->next());
        ++counters_.held_back;
        ++counters_.delayed;
        if (const auto times = said_delayed_.count(now)) {
            log::info("requests wait: their clients have had what their rate allows",
                      {{"listener", address_}, {"times", times}});
        }
        return;
    }
    if (fetch(client)) {
        finish(connection, client);
    }
}

void PollenService::stir(std::string_view challenge) {
    counters_.bytes_written += challenge.size();
    if (const Time now = Loop::now();
        mixer_ != nullptr && mixed_.level(mixing_rate, now) >= challenge.size()) {
        mixed_.take(mixing_rate, challenge.size(), now);
        counters_.bytes_mixed += challenge.size();
        mixer_->mix(as_bytes(challenge));
    }
}

void PollenService::set_aside(PollenClient& client) {
    if (!client.place_) {
        client.place_ = line_.insert(line_.end(), &client);
        wait_timer_.at(line_.front()->until_);
        client.connection_->set_aside();
    }
}

// Its rate allows it. False: it waits, or has waited.
bool PollenService::fetch(PollenClient& client) {
    if (supply_->ready(pollen::seed_size) == pollen::seed_size) {
        served(client, Claim::spare);
        return true;
    }
    set_aside(client);
    client.state_ = PollenClient::State::waiting;
    client.waits_since_ = Loop::now();
    ++counters_.waiting;
    supply_->wait(client); // which may serve it at once
    return false;
}

void PollenService::served(PollenClient& client, Claim claim) {
    supply_->take(client.answer_->seed, claim);
    counters_.bytes_served += pollen::seed_size;
    client.state_ = PollenClient::State::served;
}

// A client's turn: it has no use for a seed when it is gone.
bool PollenClient::serve(Pool&) {
    --service_.counters_.waiting;
    if (connection_->gone()) {
        state_ = State::turned_away;
        status_ = MHD_HTTP_SERVICE_UNAVAILABLE;
    } else {
        service_.counters_.waits.observe(Loop::now() - waits_since_);
        service_.served(*this, Claim::turn);
    }
    service_.carry_on(*this);
    return false;
}

void PollenService::carry_on(PollenClient& client) {
    if (client.place_) {
        line_.erase(*client.place_);
        client.place_.reset();
        client.connection_->resume();
    }
}

void PollenService::turn_away(PollenClient& client) {
    const bool waited = client.state_ == PollenClient::State::waiting;
    --(waited ? counters_.waiting : counters_.held_back);
    client.state_ = PollenClient::State::turned_away;
    client.status_ = waited ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_TOO_MANY_REQUESTS;
    pool_.turns().leave(client);
    carry_on(client);
    if (const auto times = said_turned_away_.count(Loop::now())) {
        log::warning("requests turned away", {{"listener", address_},
                                              {"reason", waited ? "the pool had nothing for them in time"
                                                                : "their rate did not allow them in time"},
                                              {"times", times}});
    }
}

void PollenService::finish(Connection& connection, PollenClient& client) {
    if (client.state_ != PollenClient::State::served) {
        say(connection, client.status_);
        return;
    }
    Answer& answer = *client.answer_;
    pollen::write_answer(client.challenge_, answer.seed, answer.text);
    wipe(answer.seed);
    const Response response(library_, {answer.text.data(), answer.text.size()}, "text/plain; charset=utf-8",
                            Response::Body::borrowed);
    connection.respond(MHD_HTTP_OK, response);
}

void PollenService::on_over(Connection& connection) {
    if (auto* const client = static_cast<PollenClient*>(connection.data.get())) {
        clear(*client);
    }
}

// Whatever its request was about is over.
void PollenService::clear(PollenClient& client) {
    using State = PollenClient::State;
    counters_.waiting -= client.state_ == State::waiting;
    counters_.held_back -= client.state_ == State::held_back;
    client.state_ = State::idle;
    client.answer_.reset(); // wipes
    client.challenge_.clear();
    if (client.place_) { // the listener ends
        line_.erase(*client.place_);
        client.place_.reset();
    }
    pool_.turns().leave(client);
    pool_.serve(); // others may have waited for it alone, or for its next request
}

void PollenService::say(Connection& connection, unsigned status) {
    counters_.turned_away += status == MHD_HTTP_SERVICE_UNAVAILABLE || status == MHD_HTTP_TOO_MANY_REQUESTS;
    connection.respond(status, refusals_.find(status));
}

// ---- those who are set aside

void PollenService::close() {
    while (!line_.empty()) {
        PollenClient& client = *line_.front();
        clear(client);
        client.state_ = PollenClient::State::turned_away;
        client.status_ = MHD_HTTP_SERVICE_UNAVAILABLE;
    }
}

// All of them can have what they wait for, so their order is of no weight.
void PollenService::let_waiting_try() {
    for (PollenClient* const client : Line(line_)) {
        if (client->state_ == PollenClient::State::waiting && !client->waiting() &&
            supply_->ready(pollen::seed_size) == pollen::seed_size) {
            --counters_.waiting;
            counters_.waits.observe(Loop::now() - client->waits_since_);
            served(*client, Claim::spare);
            carry_on(*client);
        }
    }
}

// Those whose rate allows it go on.
void PollenService::pace() {
    while (const auto id = pacer_->release(Loop::now())) {
        PollenClient* const client = clients_[*id];
        if (client == nullptr || client->state_ != PollenClient::State::held_back) {
            continue; // was turned away meanwhile
        }
        --counters_.held_back;
        if (fetch(*client)) {
            carry_on(*client);
        }
    }
    pace_timer_.at(pacer_->next());
}

void PollenService::end_waits() {
    const Time now = Loop::now();
    while (!line_.empty() && line_.front()->until_ <= now) {
        turn_away(*line_.front());
    }
    wait_timer_.at(line_.empty() ? Time::max() : line_.front()->until_);
    pool_.serve(); // others may have waited for them
}

} // namespace ekey::http
