#include "ekeyd/listeners/client.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>

#include "ekeyd/listeners/client_table.h"

namespace ekey {

namespace {
// The next try may go well: nothing is wrong with this client. (Memory is short for others, too.)
bool passes(int error) {
    return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

std::uint32_t milliseconds() {
    return static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(Loop::now().time_since_epoch()).count());
}
} // namespace

Client::Client(ClientTable& table, Loop& loop, Fd socket, std::uint32_t index, std::unique_ptr<Seal> seal)
    : table_(table), socket_(std::move(socket)), seal_(std::move(seal)), watcher_(loop), index_(index) {
    set_local(table_.local());
    watcher_.bind<&Client::on_ready>(this);
    watcher_.watch(socket_.get(), IoWatcher::readable);
}

Client::~Client() {
    enter(State::lost);
}

void Client::enter(State state) {
    auto& counters = table_.count();
    if (state_ == State::waiting) {
        --counters.waiting;
        if (state == State::reading) { // it is served
            counters.waits.observe(std::chrono::milliseconds(milliseconds() - waits_since_));
        }
    } else if (state_ == State::held_back) {
        --counters.held_back;
    } else if (state_ == State::stalled && state == State::lost) {
        table_.unsent().drop(unsent_);
    }
    state_ = state;
    if (state_ == State::waiting) {
        ++counters.waiting;
        waits_since_ = milliseconds();
    } else if (state_ == State::held_back) {
        ++counters.held_back;
    }
}

bool Client::vanished() const {
    if (!socket_) {
        return true; // it has let go
    }
    pollfd about{socket_.get(), 0, 0};
    return poll(&about, 1, 0) > 0 && (about.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

void Client::begin() {
    if (seal_ && seal_->has_input()) {
        on_ready(IoWatcher::readable);
    }
}

// As recv(2) and send(2), whether the link is sealed or not.
ssize_t Client::read(ByteSpan into) {
    return seal_ ? seal_->read(socket_.get(), into, Loop::now())
                 : recv(socket_.get(), into.data(), into.size(), 0);
}

ssize_t Client::write(ByteView bytes) {
    return seal_ ? seal_->write(socket_.get(), bytes)
                 : send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

void Client::on_ready(int events) {
    if ((events & IoWatcher::unwatchable) != 0) {
        table_.unwatchable();
        enter(State::lost);
    } else if (seal_ && (events & IoWatcher::writable) != 0 && !seal_->flush(socket_.get())) {
        enter(State::lost);
    }
    switch (state_) {
    case State::reading:
        receive();
        read_on();
        break;
    case State::waiting:
    case State::held_back: receive_ahead(); break;
    case State::stalled: send_unsent(); break;
    case State::lost: break;
    }
    settle();
}

// What it is now decides what is waited for. It may be destroyed.
void Client::settle() {
    if (state_ == State::reading && end_) {
        enter(State::lost);
    }
    if (state_ == State::lost) {
        table_.close(*this);
        return;
    }
    watch();
    if (state_ == State::waiting) {
        table_.supply().wait(*this);
    }
}

// The common path: one recv(), and in work() one send().
void Client::receive() {
    Byte in[input_size];
    const ssize_t got = read(in);
    if (got > 0) {
        work({in, static_cast<std::size_t>(got)});
    } else if (got == 0 || !passes(errno)) {
        if (seal_ && seal_->fault() != sealed::Fault::none) {
            table_.broken_seal(seal_->fault());
        }
        enter(State::lost);
    }
}

// A sealed message may hold more than is read at a time, and the socket then tells of nothing.
void Client::read_on() {
    while (state_ == State::reading && seal_ && seal_->has_input()) {
        receive();
    }
}

// Requests behind one that waits: kept, so that the end of the stream behind them is seen.
void Client::receive_ahead() {
    const ssize_t got = read(ByteSpan(input_).subspan(held_));
    if (got > 0) {
        held_ = static_cast<Byte>(held_ + got);
    } else if (got == 0) {
        end_ = true;
        if (vanished()) {
            enter(State::lost);
        }
    } else if (!passes(errno)) {
        enter(State::lost);
    }
}

void Client::send_unsent() {
    const ByteView rest = table_.unsent().held(unsent_);
    const ssize_t sent = write(rest);
    if (sent < 0) {
        if (!passes(errno)) {
            enter(State::lost);
        }
        return;
    }
    quiet_.rest(); // it reads
    if (table_.unsent().consume(unsent_, static_cast<std::size_t>(sent))) {
        enter(State::reading);
        carry_on();
    }
}

// Goes on with what had to wait: the request that could not be answered, then those behind it.
void Client::carry_on() {
    if (has_pending_) {
        has_pending_ = false;
        if (!answer(pending_)) {
            has_pending_ = true;
            return;
        }
    }
    const std::size_t held = held_;
    held_ = 0;
    work({input_.data(), held});
    read_on();
}

// Answers the requests in `in`, in order, until one must wait; that one and those behind it are kept.
void Client::work(ByteView in) {
    using Event = egd::RequestParser::Event;
    for (;;) {
        const auto step = parser_.parse(in);
        in = in.subspan(step.used);
        if (step.event == Event::request) {
            ++table_.count().requests;
            quiet_.heard();
            if (!answer(step.request)) {
                pending_ = step.request;
                has_pending_ = true;
                break;
            }
        } else if (step.event == Event::need_more) {
            flush();
            return;
        } else if (step.event == Event::error) {
            if (flush()) { // what came before is answered first
                table_.garbage();
                enter(State::lost);
            }
            return;
        } else { // the bytes of a write: not believed
            quiet_.heard();
            table_.written(step.written);
        }
    }
    std::memmove(input_.data(), in.data(), in.size()); // `in` may be a part of input_
    held_ = static_cast<Byte>(in.size());
}

// False when it cannot be answered now: the client then waits, is stalled, or is lost.
bool Client::answer(const egd::Request& request) {
    if (request.command == egd::Command::read_blocking && !may_read(request.count)) {
        return false;
    }
    auto& batch = table_.batch();
    if (batch.room().size() < egd::max_answer && !flush()) {
        return false;
    }
    const ByteSpan out = batch.room();
    switch (request.command) {
    case egd::Command::read_blocking: take(request.count, 0, Claim::spare); break;
    case egd::Command::read: {
        const std::size_t count = read_now(request.count);
        out[0] = static_cast<Byte>(count);
        take(count, egd::count_size, Claim::spare);
        break;
    }
    case egd::Command::level: batch.size += egd::encode_level(level(), out); break;
    case egd::Command::process_id: batch.size += egd::encode_process_id(getpid(), out); break;
    case egd::Command::write: break; // the parser reports none
    }
    return true;
}

// Whether a blocking read is answered now; if not, it waits, is held back, stalled or lost.
bool Client::may_read(std::size_t count) {
    Pacer* const pacer = table_.pacer();
    if (pacer != nullptr && !passed_ && !pacer->pass(index_, count, Loop::now())) {
        if (flush()) {
            enter(State::held_back);
            table_.hold(*this, count);
        }
        return false;
    }
    passed_ = true; // also when it is stalled or waits now
    if (table_.supply().ready(count) < count) {
        if (flush()) {
            enter(State::waiting);
        }
        return false;
    }
    return true;
}

// Of a read that does not wait: how many bytes it gets.
std::size_t Client::read_now(std::size_t count) {
    Pacer* const pacer = table_.pacer();
    if (pacer == nullptr) {
        return table_.supply().ready(count);
    }
    const Time now = Loop::now();
    std::size_t most = pacer->allowed(index_, count, now);
    most = most > 0 ? table_.supply().ready(most) : 0;
    pacer->take(index_, most, now);
    return most;
}

// What the level command answers: never more bits than it could read now.
std::uint64_t Client::level() {
    const std::uint64_t bits = table_.supply().level();
    Pacer* const pacer = table_.pacer();
    return pacer == nullptr ? bits
                            : 8 * pacer->allowed(index_, static_cast<std::size_t>(bits / 8), Loop::now());
}

// Moves bytes from the supply, which has so many, behind `header` bytes that are written already.
void Client::take(std::size_t count, std::size_t header, Claim claim) {
    auto& batch = table_.batch();
    if (count > 0) {
        table_.supply().take(batch.room().subspan(header, count), claim);
    }
    passed_ = false;
    batch.size += header + count;
    table_.count().bytes_served += count;
}

// Sends what is gathered. False when the client is now stalled or lost.
bool Client::flush() {
    auto& batch = table_.batch();
    if (batch.size == 0) {
        return true;
    }
    const ByteSpan all = batch.memory.span().first(batch.size);
    batch.size = 0;
    ssize_t sent = write(all);
    if (sent < 0 && passes(errno)) {
        sent = 0;
    }
    if (sent < 0) {
        enter(State::lost);
    } else if (const ByteView rest = all.subspan(static_cast<std::size_t>(sent)); !rest.empty()) {
        if (const auto slot = table_.unsent().keep(rest)) {
            unsent_ = *slot;
            enter(State::stalled);
        } else {
            enter(State::lost);
            table_.no_slot();
        }
    }
    wipe(all);
    return state_ != State::stalled && state_ != State::lost;
}

std::size_t Client::wanted() const {
    return table_.supply().cost(pending_.count);
}

void Client::try_again() {
    if (state_ == State::waiting && table_.supply().ready(pending_.count) == pending_.count) {
        go_on();
    }
}

bool Client::serve(Pool&) {
    go_on();
    return state_ == State::waiting;
}

// Answers the read that has waited.
void Client::go_on() {
    if (vanished()) {
        enter(State::lost);
    } else {
        enter(State::reading);
        has_pending_ = false;
        take(pending_.count, 0, Claim::turn);
        carry_on();
    }
    leave_if_lost();
}

void Client::rate_allows() {
    if (vanished()) {
        enter(State::lost);
    } else {
        enter(State::reading);
        passed_ = true;
        carry_on();
    }
    leave_if_lost();
    if (state_ == State::waiting) {
        table_.supply().wait(*this);
    }
}

bool Client::quiet_for_too_long(const Timeouts& limits) {
    if (waits()) {
        quiet_.rest();
    }
    return state_ != State::lost && quiet_.tick(limits);
}

// From within a turn it cannot go at once.
void Client::leave_if_lost() {
    if (state_ == State::lost) {
        watcher_.stop();
        table_.close_later(*this);
    } else {
        watch();
    }
}

void Client::watch() {
    const int sealed_rest = seal_ && seal_->has_output() ? IoWatcher::writable : 0;
    if (state_ == State::stalled) {
        watcher_.watch(socket_.get(), IoWatcher::writable);
    } else if (unwatched()) {
        watcher_.watch(socket_.get(), sealed_rest);
        table_.watch_over_unwatched();
    } else {
        watcher_.watch(socket_.get(), IoWatcher::readable | sealed_rest);
    }
}

} // namespace ekey
