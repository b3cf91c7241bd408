// What the table's actions do, and the events that tell of it.
#include <algorithm>
#include <cassert>

#include "protocol/entropykey/session.h"
#include "protocol/entropykey/transitions.h"

namespace ekey::entropykey {

namespace {

// Once for each attempt after the first, up to the longest pause.
Duration doubled(Duration first, unsigned attempts) {
    constexpr unsigned doublings = 5; // 32 times a second: above the longest
    const unsigned times = std::min(attempts > 0 ? attempts - 1 : 0, doublings);
    return std::min(first * (1 << times), timing::longest_pause);
}

// How long a session waits in a state before it does something itself; Duration::max(): as long as it takes.
Duration patience(State state, unsigned attempts, Duration wrong_key_pause) {
    switch (state) {
    case State::resetting: return timing::reset_answer;
    case State::rekeying: return doubled(timing::nonce_answer, attempts);
    case State::confirming:
    case State::running: return timing::silence;
    case State::wrong_key: return wrong_key_pause;
    case State::self_stopped: return timing::self_stopped;
    case State::idle:
    case State::awaiting_key:
    case State::no_key: break;
    }
    return Duration::max();
}

} // namespace

void Session::handle(Input input, Time now) {
    const auto [action, next] = transition(state_, input);
    if (next != state_)
        set_state(next, now);
    else if (input == Input::valid && state_ == State::running)
        deadline_ = now + timing::silence;
    if (action != Action::none)
        perform(action, now);
    announce_state();
}

void Session::set_state(State next, Time now) {
    state_ = next;
    bad_macs_ = 0;
    const Duration wait = patience(next, attempts_, wrong_key_pause_);
    deadline_ = wait == Duration::max() ? Time::max() : now + wait;
}

void Session::perform(Action action, Time now) {
    switch (action) {
    case Action::none:
    case Action::keep_key: break; // kept by provide_key
    case Action::refuse: ++counters_.packet_errors; break;
    case Action::reset: reset(now); break;
    case Action::retry: retry(now); break;
    case Action::ask_key:
        forget_keys();
        mac_.emplace(*serial_, SessionKey());
        announce_state();
        push(NeedKey{*serial_});
        break;
    case Action::lose_key:
        forget_session();
        mac_.emplace(*serial_, SessionKey());
        break;
    case Action::send_nonce: send_nonce(); break;
    case Action::take_key: take_session_key(); break;
    case Action::confirm:
        attempts_ = 0;
        wrong_key_pause_ = timing::wrong_key_first;
        break;
    case Action::doubt: wrong_key_pause_ = std::min(2 * wrong_key_pause_, timing::wrong_key_longest); break;
    case Action::deliver: deliver(now); break;
    case Action::stop: stop(); break;
    }
}

void Session::reset(Time now) {
    forget_keys();
    output_size_ = 0; // a command cut off in the middle is no harm: the device accepts a reset anywhere
    send({&reset_command, 1});
    ++counters_.resets;
    delivered_ = 0;
    deadline_ = now + doubled(timing::reset_answer, ++attempts_);
}

void Session::retry(Time now) {
    brief_sessions_ = delivered_ < timing::frames_of_a_good_session ? brief_sessions_ + 1 : 0;
    if (attempts_ == 0 && brief_sessions_ < 2)
        return reset(now);
    forget_keys();
    output_size_ = 0;
    deadline_ = now + doubled(timing::reset_answer, std::max(attempts_, brief_sessions_));
}

void Session::forget_session() {
    mac_.reset();
    pad_.reset();
    last_sequence_ = -1;
}

void Session::forget_keys() {
    forget_session();
    wipe(long_term_key_.span());
}

void Session::send_nonce() {
    if (output_size_ != 0) {
        // A device can end a session faster than its owner writes. What was to be said to it is overtaken;
        // part of a command may be out already, and a reset ends that.
        output_size_ = 0;
        send({&reset_command, 1});
        ++counters_.resets;
    }
    std::memcpy(nonce_.data(), &nonce_count_, sizeof nonce_count_);
    ++nonce_count_;
    random_(std::span(nonce_).subspan<sizeof nonce_count_>());
    send(as_bytes(session_rekey_command(nonce_)));
    ++counters_.nonces;
}

void Session::take_session_key() {
    const SessionKey key =
        derive_session_key(*serial_, long_term_key_, std::span(payload_->bytes).first<block_size>(), nonce_);
    mac_.emplace(*serial_, key);
    pad_.emplace(*serial_, key);
    last_sequence_ = -1;
    ++counters_.rekeys;
}

void Session::deliver(Time now) {
    if (!pad_) { // under the zero session key anyone could have sealed it
        ++counters_.packet_errors;
        return;
    }
    const int sequence = payload_->sub_code;
    if (sequence <= last_sequence_) {
        ++counters_.replayed;
        return;
    }
    counters_.missed += static_cast<unsigned>(sequence - last_sequence_ - 1);
    last_sequence_ = sequence;
    exclusive_or(std::span(payload_->bytes).first<block_size>(), plaintext_.span(), plaintext_.span());
    counters_.entropy_bytes += block_size;
    ++delivered_;

    failure_ = no_failure; // entropy after a reset (self_stopped refuses it before): the device has recovered
    announce_state();
    push(Entropy{plaintext_.span(), payload_->sub_code});
    if (sequence == last_sequence)
        handle(Input::rekey_needed, now);
}

void Session::stop() {
    const bool news = failure_ == no_failure || (failure_ != reported_ && reported_ != unnamed_failure);
    if (!news)
        return;
    failure_ = reported_;
    push(DeviceFailed{failure_});
}

void Session::push_state() {
    push(StateChanged{announced_, state()});
    announced_ = state();
}

void Session::push(const Event& event) {
    if (event_count_ == events_.size()) {
        // Only calls that the owner repeats without taking the events come here, and they bring state
        // changes.
        auto* last = std::get_if<StateChanged>(&events_[event_count_ - 1]);
        const auto* next = std::get_if<StateChanged>(&event);
        assert(last != nullptr && next != nullptr);
        last->to = next->to;
        return;
    }
    events_[event_count_++] = event;
}

Event Session::pop() {
    if (event_count_ == 0)
        return {};
    const Event event = events_[first_event_++];
    if (const auto* change = std::get_if<StateChanged>(&event))
        known_ = change->to;
    if (first_event_ == event_count_)
        first_event_ = event_count_ = 0;
    return event;
}

void Session::drop_events() {
    first_event_ = event_count_ = 0;
    announced_ = known_;
}

void Session::send(ByteView bytes) {
    assert(bytes.size() <= output_.size() - output_size_);
    std::memcpy(output_.data() + output_size_, bytes.data(), bytes.size());
    output_size_ += bytes.size();
}

} // namespace ekey::entropykey
