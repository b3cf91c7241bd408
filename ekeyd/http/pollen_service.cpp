#include "ekeyd/http/pollen_service.h"

#include <algorithm>
#include <exception>

#include "ekeyd/runtime/log.h"

namespace ekey::http {

namespace {

// The longest that an Entropy Key takes from being plugged in to its first tested block, with some to spare.
constexpr const char* retry_after = "10"; // seconds

constexpr unsigned content_too_large = 413; // has had several names in the library's header

struct Words {
    unsigned status;
    const char* text;
    bool later; // it may be tried again
};
constexpr Words words[] = {
    {MHD_HTTP_BAD_REQUEST,
     "A challenge is missing: POST challenge=TEXT as application/x-www-form-urlencoded, as pollinate does, "
     "or "
     "GET /?challenge=TEXT\n",
     false},
    {MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET and POST are answered.\n", false},
    {content_too_large, "The challenge is too long.\n", false},
    {MHD_HTTP_TOO_MANY_REQUESTS, "Your network has had what it may have for now.\n", true},
    {MHD_HTTP_SERVICE_UNAVAILABLE, "There is no entropy for you now.\n", true},
};

} // namespace

PollenService::PollenService(const Library& library, Loop& loop, Pool& pool, std::string address,
                             const Options& options, Mixer* mixer)
    : library_(library), pool_(pool), address_(std::move(address)), options_(options),
      mixer_(options.limits.mix_writes ? mixer : nullptr),
      supply_(make_supply(pool, options.drbg, options.limits.local)), ready_timer_(loop), pace_timer_(loop),
      wait_timer_(loop) {
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
    if (const unsigned status = refusal(connection, client)) {
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

// The status for a request that is not as it should be; 0 when its challenge was found.
unsigned PollenService::refusal(Connection& connection, PollenClient& client) {
    const bool post = connection.method == MHD_HTTP_METHOD_POST;
    if (!post && connection.method != MHD_HTTP_METHOD_GET) {
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    if (connection.too_long) {
        return content_too_large;
    }
    std::optional<std::string> challenge;
    if (post && pollen::is_form(connection.header(MHD_HTTP_HEADER_CONTENT_TYPE))) {
        challenge = pollen::find_challenge(connection.body);
    }
    if (!challenge) {
        challenge = pollen::find_challenge(connection.query);
    }
    if (!challenge) {
        return MHD_HTTP_BAD_REQUEST;
    }
    client.challenge_ = std::move(*challenge);
    return 0;
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
    auto found = said_.find(status);
    counters_.turned_away += status == MHD_HTTP_SERVICE_UNAVAILABLE || status == MHD_HTTP_TOO_MANY_REQUESTS;
    if (found == said_.end()) {
        const Words& say = *std::find_if(std::begin(words), std::end(words),
                                         [status](const Words& each) { return each.status == status; });
        Response made(library_, say.text, "text/plain; charset=utf-8");
        if (say.later) {
            made.header(MHD_HTTP_HEADER_RETRY_AFTER, retry_after);
            made.header(MHD_HTTP_HEADER_CONNECTION, "close"); // its place is another one's now
        }
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
            made.header(MHD_HTTP_HEADER_ALLOW, "GET, POST");
        }
        found = said_.emplace(status, std::move(made)).first;
    }
    connection.respond(status, found->second);
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
