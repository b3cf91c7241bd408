#include "ekeyd/rekey/exchange.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sodium.h>
#include <unistd.h>

#include "ekeyd/runtime/secret.h"
#include "protocol/entropykey/session.h"

namespace ekey::rekey {

using entropykey::LongTermRekey;
using entropykey::Session;
using entropykey::State;

namespace {

// A block takes a real key 0.9 s, and it sends other frames too; the session asks again by itself.
constexpr Duration patience = std::chrono::seconds(10);

Time now() {
    return std::chrono::steady_clock::now();
}

void random_fill(ByteSpan out) {
    randombytes_buf(out.data(), out.size());
}

// Waits until the device can be read or written, or `deadline`. What happened is told by read and write.
void wait(int fd, bool write, Time deadline) {
    pollfd watched{fd, static_cast<short>(POLLIN | (write ? POLLOUT : 0)), 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now()).count();
    ::poll(&watched, 1, static_cast<int>(std::clamp<long>(left, 0, 60'000)));
}

bool failed_for_good(ssize_t result) {
    return result < 0 && errno != EAGAIN && errno != EINTR;
}

// Moves bytes between the device and a protocol object until `done` says so, or `limit`. False: the limit.
template <class Protocol, class Receive, class Done>
Result<bool> converse(int fd, Protocol& protocol, Receive receive, Done done, Time limit) {
    while (!done()) {
        const ByteView out = protocol.pending_output();
        if (!out.empty()) {
            const ssize_t written = ::write(fd, out.data(), out.size());
            if (failed_for_good(written)) {
                return fail(std::string("the device cannot be written to: ") + std::strerror(errno));
            }
            protocol.consume_output(written > 0 ? static_cast<std::size_t>(written) : 0);
        }
        if (now() >= limit) {
            return false;
        }
        wait(fd, !protocol.pending_output().empty(), std::min(protocol.deadline(), limit));
        std::array<Byte, 4096> in{};
        const ssize_t got = ::read(fd, in.data(), in.size());
        if (got == 0 || failed_for_good(got)) {
            return fail(std::string("the device is gone") +
                        (got < 0 ? std::string(": ") + std::strerror(errno) : ""));
        }
        if (got > 0) {
            receive(ByteView(in).first(static_cast<std::size_t>(got)));
        }
        protocol.handle_timeout(now());
    }
    return true;
}

} // namespace

Result<Locked<LongTermRekey::NewKey>> set_long_term_key(int fd, const entropykey::MasterKey& master,
                                                        const std::optional<entropykey::Serial>& expected,
                                                        bool& may_have_changed) {
    const auto rekey = make_locked<LongTermRekey>(master, expected, random_fill);
    rekey->start(now());
    const auto talked = converse(
        fd, *rekey, [&](ByteView in) { rekey->receive(in, now()); },
        [&] { return rekey->outcome().has_value(); }, Time::max());
    may_have_changed = rekey->key_may_have_changed();
    if (!talked) {
        return tl::unexpected(talked.error());
    }
    const auto& outcome = *rekey->outcome();
    return outcome ? Result<Locked<LongTermRekey::NewKey>>(make_locked<LongTermRekey::NewKey>(*outcome))
                   : tl::unexpected(outcome.error());
}

Result<void> try_long_term_key(int fd, const LongTermRekey::NewKey& key) {
    const auto session = make_locked<Session>(random_fill);
    session->start(now());
    const auto receive = [&](ByteView in) {
        while (true) {
            const auto step = session->receive(in, now());
            in = in.subspan(step.used);
            if (std::holds_alternative<entropykey::NeedKey>(step.event)) {
                session->provide_key(key.key, now());
            } else if (in.empty() && std::holds_alternative<std::monostate>(step.event)) {
                return;
            }
        }
    };
    const auto decided = [&] {
        return session->state() == State::running || session->state() == State::wrong_key ||
               session->state() == State::self_stopped;
    };
    const auto talked = converse(fd, *session, receive, decided, now() + patience);
    if (!talked) {
        return tl::unexpected(talked.error());
    }
    if (!*talked) {
        return fail("the device did not open a session within ten seconds");
    }
    switch (session->state()) {
    case State::running: return {};
    case State::wrong_key: return fail("the device does not use the new key");
    default: return fail("the device's generators have failed");
    }
}

} // namespace ekey::rekey
