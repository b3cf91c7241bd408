#include "ekeyd/http/hello_gate.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

namespace ekey::http {

namespace {

// RFC 8446, section 5.1: type, version, length. A record that is not encrypted has at most 2^14 bytes.
constexpr std::size_t record_header = 5, longest_record = 1 << 14;
constexpr Byte type_handshake = 22;

// Those whose address has begun too many are tried again this often.
constexpr Duration try_again = std::chrono::milliseconds(20);
constexpr Duration look_every = std::chrono::seconds(1);

} // namespace

HelloGate::HelloGate(Loop& loop, HelloGateOwner& owner, Patience patience)
    : loop_(loop), owner_(owner), patience_(patience), turn_(loop), late_(loop) {
    turn_.bind<&HelloGate::let_in>(this);
    late_.bind<&HelloGate::end_all_late>(this);
}

void HelloGate::add(Fd socket, std::uint32_t place, const IpAddress& from) {
    Waiting& one = waiting_.emplace_back(*this, loop_, std::move(socket), place, from, Loop::now());
    one.self = std::prev(waiting_.end());
    one.watcher.bind<&Waiting::on_ready>(&one);
    await(one, record_header);
    if (!late_.active()) {
        late_.every(look_every);
    }
}

// The kernel calls it readable when so much is there, or when no more will come.
void HelloGate::await(Waiting& one, std::size_t bytes) {
    const int low = static_cast<int>(bytes);
    setsockopt(one.socket.get(), SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
    one.awaited = bytes;
    one.watcher.watch(one.socket.get(), IoWatcher::readable);
}

void HelloGate::look(Waiting& one) {
    int there = 0;
    Byte header[record_header];
    if (ioctl(one.socket.get(), FIONREAD, &there) != 0 || static_cast<std::size_t>(there) < one.awaited ||
        recv(one.socket.get(), header, sizeof header, MSG_PEEK | MSG_DONTWAIT) != sizeof header) {
        drop(one, false);
        return;
    }
    const std::size_t length = std::size_t{header[3]} << 8 | header[4];
    if (header[0] != type_handshake || length > longest_record) {
        drop(one, false);
        return;
    }
    if (static_cast<std::size_t>(there) < record_header + length) {
        await(one, record_header + length);
        return;
    }
    await(one, 1); // as it was, for the library
    one.watcher.stop();
    ready_.splice(ready_.end(), waiting_, one.self);
    turn_.start(Duration::zero());
}

void HelloGate::let_in() {
    const Time began = Loop::now();
    for (auto next = ready_.begin(); next != ready_.end();) {
        const Time now = Loop::now();
        if (now - began > slice) {
            turn_.start(Duration::zero());
            return;
        }
        const auto one = next++;
        if (!limits_.enter(one->from, now)) {
            continue;
        }
        std::list<Waiting> out;
        out.splice(out.end(), ready_, one);
        owner_.on_hello(std::move(one->socket), one->place, one->from);
    }
    if (!ready_.empty()) {
        turn_.start(try_again);
    }
}

void HelloGate::left(const IpAddress& from) {
    limits_.leave(from, Loop::now());
}

// Those who came then, or before.
void HelloGate::end_late(std::list<Waiting>& among, Time came) {
    for (auto next = among.begin(); next != among.end();) {
        if (const auto one = next++; one->came <= came) {
            drop(*one, true);
        }
    }
}

void HelloGate::end_all_late() {
    const Time now = Loop::now();
    end_late(waiting_, now - patience_.record);
    end_late(ready_, now - patience_.turn);
    if (waiting_.empty() && ready_.empty()) {
        late_.stop();
    }
}

void HelloGate::drop(Waiting& one, bool late) {
    const std::uint32_t place = one.place;
    std::list<Waiting> out;
    out.splice(out.end(), one.watcher.active() ? waiting_ : ready_, one.self);
    out.clear();
    owner_.on_no_hello(place, late);
}

} // namespace ekey::http
