// The session's one table: what each input does in each state. Part of session.cpp, and of its test.
#pragma once

#include <array>
#include <cstddef>

#include "protocol/entropykey/session.h"

namespace ekey::entropykey {

// What can happen to a session. A frame with a right MAC is first `valid`, and then what its packet says.
enum class Input {
    start,
    serial,       // S frame of the serial number that is known already, or the first one
    other_serial, // S frame of another one
    key,          // the owner has a long-term key
    no_key,       // the owner has none
    valid,        // any frame whose MAC is right under the session key
    entropy,
    rekey_needed, // k frame, or the last sequence number
    session_key,  // K frame
    failure,      // B frame, or an S report with a failure code
    unexpected,   // W frame, or a K frame for a nonce that we did not send
    bad_mac,
    many_bad_macs, // several in a row
    timeout,
};
inline constexpr std::size_t input_count = 14;

enum class Action {
    none,
    refuse,     // the packet makes no sense here: count it as an error
    reset,      // send the reset command now
    retry,      // reset, at once the first time, later after a pause that grows
    ask_key,    // zero session key, sequence forgotten; ask the owner for the long-term key
    lose_key,   // zero session key, sequence forgotten; the answer to our nonce may still come
    keep_key,   // for the next re-key
    send_nonce, // with the long-term key at hand
    take_key,   // derive the new session key
    confirm,    // the session key has proved right
    doubt,      // the session key has proved wrong
    deliver,    // decrypt, once
    stop,       // the device has failed
};

struct Transition {
    Action action;
    State next;
};
using Row = std::array<Transition, input_count>;

namespace detail {
using enum State;

// A row is written as: stay and do nothing, except.
struct Except {
    Input input;
    Action action;
    State next;
};

template <std::size_t N>
constexpr Row row(State state, const Except (&exceptions)[N]) {
    Row row{};
    row.fill({Action::none, state});
    row[static_cast<std::size_t>(Input::start)] = {Action::reset, resetting};
    for (const Except& e : exceptions)
        row[static_cast<std::size_t>(e.input)] = {e.action, e.next};
    return row;
}

// Whenever the serial number comes, the device was reset, and its session key is zero. While a nonce of ours
// is on its way the answer may still come, from before or after the reset, so it is awaited: its MAC tells.
inline constexpr std::array<Row, 9> transitions{
    row(idle,
        {
            {Input::start, Action::reset, resetting},
        }),
    row(resetting, // frames of a session that is not ours go by unread
        {
            {Input::serial, Action::ask_key, awaiting_key},
            {Input::other_serial, Action::ask_key, awaiting_key},
            {Input::timeout, Action::reset, resetting},
        }),
    row(awaiting_key,
        {
            {Input::serial, Action::ask_key, awaiting_key},
            {Input::other_serial, Action::ask_key, awaiting_key},
            {Input::key, Action::send_nonce, rekeying},
            {Input::no_key, Action::none, no_key},
            {Input::entropy, Action::refuse, awaiting_key},
            {Input::session_key, Action::refuse, awaiting_key},
            {Input::failure, Action::stop, self_stopped},
            {Input::many_bad_macs, Action::retry, resetting},
        }),
    row(no_key,
        {
            {Input::serial, Action::ask_key, awaiting_key},
            {Input::other_serial, Action::ask_key, awaiting_key},
            {Input::key, Action::send_nonce, rekeying},
            {Input::entropy, Action::refuse, no_key},
            {Input::session_key, Action::refuse, no_key},
            {Input::failure, Action::stop, self_stopped},
            {Input::many_bad_macs, Action::retry, resetting},
        }),
    row(rekeying,
        {
            {Input::serial, Action::lose_key, rekeying},
            {Input::other_serial, Action::retry, resetting},
            {Input::key, Action::keep_key, rekeying},
            {Input::entropy, Action::deliver, rekeying},
            {Input::session_key, Action::take_key, confirming},
            {Input::failure, Action::stop, self_stopped},
            {Input::unexpected, Action::retry, resetting},
            {Input::many_bad_macs, Action::retry, resetting},
            {Input::timeout, Action::retry, resetting},
        }),
    row(confirming,
        {
            {Input::serial, Action::ask_key, awaiting_key},
            {Input::other_serial, Action::ask_key, awaiting_key},
            {Input::key, Action::keep_key, confirming},
            {Input::valid, Action::confirm, running},
            {Input::bad_mac, Action::doubt, wrong_key},
            {Input::timeout, Action::retry, resetting},
        }),
    row(running,
        {
            {Input::serial, Action::ask_key, awaiting_key},
            {Input::other_serial, Action::ask_key, awaiting_key},
            {Input::key, Action::keep_key, running},
            {Input::entropy, Action::deliver, running},
            {Input::rekey_needed, Action::send_nonce, rekeying},
            {Input::session_key, Action::refuse, running},
            {Input::failure, Action::stop, self_stopped},
            {Input::many_bad_macs, Action::retry, resetting},
            {Input::timeout, Action::retry, resetting},
        }),
    row(wrong_key, // a right MAC after all: it was the wire that spoilt the first frame
        {
            {Input::serial, Action::ask_key, awaiting_key},
            {Input::other_serial, Action::ask_key, awaiting_key},
            {Input::key, Action::reset, resetting},
            {Input::valid, Action::confirm, running},
            {Input::timeout, Action::reset, resetting},
        }),
    row(self_stopped, // entropy goes by unread
        {
            {Input::serial, Action::ask_key, awaiting_key},
            {Input::other_serial, Action::ask_key, awaiting_key},
            {Input::failure, Action::stop, self_stopped},
            {Input::timeout, Action::reset, resetting},
        }),
};
} // namespace detail

constexpr Transition transition(State state, Input input) {
    return detail::transitions[static_cast<std::size_t>(state)][static_cast<std::size_t>(input)];
}

} // namespace ekey::entropykey
