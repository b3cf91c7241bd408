#include "ekeyd/sources/entropy_key.h"

#include <algorithm>
#include <utility>

#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/refusal.h"
#include "ekeyd/sources/entropy_key_statistics.h"

namespace ekey {

using entropykey::State;

namespace {

// A key that was pulled out may be back at any time, and looking costs one system call.
constexpr Duration first_retry = std::chrono::seconds(1);
constexpr Duration last_retry = std::chrono::seconds(10);

// So many broken frames without a good one between them are more than noise on the wire.
constexpr std::uint64_t most_framing_errors = 4;

void random_nonce(ByteSpan out) {
    randombytes_buf(out.data(), out.size());
}

} // namespace

EntropyKey::EntropyKey(Loop& loop, std::string path, LinkOpener open, KeyLookup lookup,
                       std::optional<entropykey::Serial> expected)
    : loop_(loop), path_(std::move(path)), open_(std::move(open)), lookup_(std::move(lookup)),
      expected_(expected), session_(make_locked<entropykey::Session>(random_nonce)), retry_(loop),
      deadline_(loop), retry_after_(first_retry) {
    retry_.bind<&EntropyKey::on_retry>(this);
    deadline_.bind<&EntropyKey::on_deadline>(this);
}

Result<void> EntropyKey::start(SourceOwner& owner, bool must_open) {
    owner_ = &owner;
    auto opened = open();
    if (!opened) {
        if (must_open) {
            return opened;
        }
        owner_->on_failure(health::Failure::silence, opened.error().what);
        retry_.start(retry_after_);
    }
    return {};
}

Result<void> EntropyKey::open() {
    lost_link_.reset();
    auto link = refusal_as_error([this] { return open_(*this); });
    if (!link) {
        return tl::unexpected(link.error());
    }
    link_ = std::move(*link);
    opened_ = Loop::now();
    before_ = session_->counters();
    framing_errors_before_ = before_.framing_errors;
    ++links_;
    fresh_ = true;
    unanswered_ = false;
    no_use_told_ = false;
    fips_pace_ = {};
    session_->start(opened_);
    on_bytes({}); // the events of the start
    return {};
}

void EntropyKey::on_retry() {
    if (auto opened = open(); !opened) {
        trouble_.clear(); // gone, or not to be had
        retry_after_ = std::min(retry_after_ * 2, last_retry);
        retry_.start(retry_after_);
    } else {
        log::notice("source is back", {{"source", path_}});
    }
}

void EntropyKey::on_lost(const std::string& why) {
    trouble_ = link_->condition();
    lost_link_ = std::move(link_);
    deadline_.stop();
    owner_->on_failure(health::Failure::silence, "the device is gone: " + why);
    retry_.start(retry_after_);
    // One that is lost again before it has run, because it stalls for example, is tried less and less often.
    retry_after_ = std::min(retry_after_ * 2, last_retry);
}

void EntropyKey::pause(bool) {
    // A dongle is watched even when nobody needs its bytes: temperature, failures and silence must not go
    // unseen, and 3 kB a second cost nothing. The pipeline absorbs what it has no room for.
}

void EntropyKey::reset() {
    if (link_) {
        fresh_ = true;
        session_->start(Loop::now());
        on_bytes({});
    } else {
        retry_.stop();
        on_retry();
    }
}

void EntropyKey::keyring_changed() {
    // A running session goes on; a key without (or with a wrong) long-term key gets another chance at once.
    if (link_ && (session_->state() == State::no_key || session_->state() == State::wrong_key)) {
        reset();
    }
}

void EntropyKey::on_bytes(ByteView bytes) {
    const Time now = Loop::now();
    if (!bytes.empty()) {
        trouble_.clear();
    }
    for (;;) {
        const auto step = session_->receive(bytes, now);
        bytes = bytes.subspan(step.used);
        if (!std::holds_alternative<std::monostate>(step.event)) {
            handle(step.event);
        } else if (bytes.empty()) {
            break;
        }
    }
    after_session_call();
}

void EntropyKey::on_writable() {
    after_session_call();
}

void EntropyKey::on_deadline() {
    unanswered_ = unanswered_ || session_->state() == State::resetting;
    handle(session_->handle_timeout(Loop::now()));
    on_bytes({}); // the events that are left
}

// Writes what the session has to say and waits for its deadline.
void EntropyKey::after_session_call() {
    for (ByteView out = session_->pending_output(); !out.empty(); out = session_->pending_output()) {
        const std::size_t written = link_->write(out);
        session_->consume_output(written);
        if (written < out.size()) {
            break;
        }
    }
    deadline_.at(session_->deadline());
}

void EntropyKey::handle(const entropykey::Event& event) {
    struct Visitor {
        EntropyKey& key;
        void operator()(std::monostate) const {}
        void operator()(const entropykey::NeedKey& e) const { key.answer_key_request(e.serial); }
        void operator()(const entropykey::Entropy& e) const {
            key.framing_errors_before_ = key.session_->counters().framing_errors;
            key.owner_->on_samples(e.plaintext);
        }
        void operator()(const entropykey::Info& e) const {
            if (e.report.fips) {
                key.fips_pace_.note(e.report.fips->blocks, Loop::now());
            }
        }
        void operator()(const entropykey::DeviceFailed& e) const {
            key.owner_->on_failure(health::Failure::device,
                                   "the device reports: " +
                                       std::string(entropykey::failure_name(e.code).sentence));
        }
        void operator()(const entropykey::StateChanged& e) const { key.on_state(e.from, e.to); }
        void operator()(const entropykey::NoUse& e) const { key.on_no_use(e.version); }
    };
    std::visit(Visitor{*this}, event);
}

// The device was reset: by us, or by itself (switched off and on, or another one is in its place).
void EntropyKey::answer_key_request(const entropykey::Serial& serial) {
    const Time now = Loop::now();
    if (!fresh_) {
        fresh_ = true;
        if (session_->state() != State::self_stopped) { // that has failed already, and says more
            log::warning("the device began anew by itself", {{"source", path_}, {"serial", serial.base64()}});
            owner_->on_failure(health::Failure::silence, "the device began anew");
        }
    }
    if (!is_expected()) {
        log::error("the device has another serial number than was asked for",
                   {{"source", path_}, {"serial", serial.base64()}, {"expected", expected_->base64()}});
        session_->refuse_key(now);
        owner_->on_failure(health::Failure::silence,
                           "the device has another serial number than serial= says");
        return;
    }
    if (const auto* key = lookup_(serial)) {
        session_->provide_key(*key, now);
        return;
    }
    log::warning("the keyring has no long-term key for this device: run ekey-rekey",
                 {{"source", path_}, {"serial", serial.base64()}});
    session_->refuse_key(now);
    owner_->on_failure(health::Failure::silence, "the keyring has no long-term key for the device");
}

// Told of once each time it is opened: the session asks for ever.
void EntropyKey::on_no_use(std::optional<unsigned> version) {
    if (std::exchange(no_use_told_, true)) {
        return;
    }
    const std::string why =
        version ? "the device speaks protocol version " + std::to_string(*version) +
                      ", and only version 0 is known here"
                : "the device's answer is not authentic: it is spoilt on the way, or this is no Entropy Key";
    log::error("the device cannot be used", {{"source", path_}, {"reason", why}});
    owner_->on_failure(health::Failure::silence, why);
}

void EntropyKey::on_state(State from, State to) {
    log::debug("session", {{"source", path_}, {"from", name(from)}, {"to", name(to)}});
    if (to == State::resetting) {
        unanswered_ = from == State::resetting || from == State::rekeying;
        if (!fresh_) {
            fresh_ = true;
            log::warning("session lost, starting again", {{"source", path_}});
            owner_->on_failure(health::Failure::silence, frames_break()
                                                             ? "what the device sends arrives broken"
                                                             : "the session was lost");
        }
    }
    if (to == State::wrong_key) {
        log::error("the long-term key in the keyring is not the device's: run ekey-rekey",
                   {{"source", path_}});
        owner_->on_failure(health::Failure::silence, "the long-term key is wrong");
    }
    if (to == State::running && fresh_) {
        fresh_ = false;
        unanswered_ = false;
        retry_after_ = first_retry;
        log::notice("session established",
                    {{"source", path_}, {"serial", session_->serial() ? session_->serial()->base64() : ""}});
        framing_errors_before_ = session_->counters().framing_errors;
        owner_->on_restart();
    }
}

bool EntropyKey::is_expected() const {
    return !expected_ || session_->serial() == expected_;
}

bool EntropyKey::frames_break() const {
    return session_->counters().framing_errors - framing_errors_before_ >= most_framing_errors;
}

SourceStatus EntropyKey::status() const {
    SourceStatus status;
    status.path = path_;
    status.serial = session_->serial() ? session_->serial()->base64() : "";
    status.closed = link_ == nullptr;
    status.word = link_ ? link_->condition() : "";
    if (status.word.empty()) {
        status.word = trouble_; // opened again, it has not shown yet that it is better now
    }
    if (!link_ && status.word.empty()) {
        status.word = "Key closed. (Vanished?)";
    }
    if (!status.word.empty()) {
        return status;
    }
    switch (session_->state()) {
    case State::idle:
    case State::resetting:
        status.word = frames_break() ? "Framing errors" : unanswered_ ? "No answer" : "Unknown";
        break;
    case State::no_key: status.word = is_expected() ? "Serial unknown" : "Wrong serial number"; break;
    case State::wrong_key: status.word = "Long-Term-Key is bad"; break;
    case State::self_stopped: status.word = "Key has self-stopped"; break;
    case State::awaiting_key:
    case State::rekeying:
    case State::confirming:
    case State::running:
        if (fresh_) {
            status.word = "Serial ok";
            break;
        } // otherwise it runs: a new session key every minute is a part of that
        status.ok = !frames_break();
        status.word = status.ok ? "Running OK" : "Framing errors";
        break;
    }
    return status;
}

void EntropyKey::add_statistics(Statistics& out) const {
    const double open_for = link_ ? std::chrono::duration<double>(Loop::now() - opened_).count() : 0;
    // Plugged in again it is a new connection: its figures begin anew, and the serial's totals go on.
    const auto& all = session_->counters();
    add_entropy_key_statistics(since(before_, all), session_->info(), open_for, fips_pace_.per_second(), out);
    out.emplace_back("Sessions", std::to_string(links_));
    out.emplace_back("AllSessionsBytesRead", std::to_string(all.bytes_read));
    out.emplace_back("AllSessionsEntropy", std::to_string(all.entropy_bytes));
}

DeviceFigures EntropyKey::figures() const {
    DeviceFigures out = device_figures(session_->counters(), session_->info());
    out.session->state = link_ ? name(session_->state()) : "closed";
    out.session->open = link_ ? Loop::now() - opened_ : Duration::zero();
    return out;
}

} // namespace ekey
