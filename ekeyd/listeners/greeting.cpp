#include "ekeyd/listeners/greeting.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

namespace ekey {

using sealed::Transport;

Greeting::Greeting(Loop& loop, GreetingOwner& owner, Fd socket, const IpAddress& from, Duration timeout,
                   const sealed::KeyPair& keys, Responders& responders, Seal::Transports& transports)
    : owner_(owner), socket_(std::move(socket)), from_(from), transports_(transports),
      responder_(responders.make(keys)), io_(loop), timeout_(loop) {
    io_.bind<&Greeting::on_readable>(this);
    timeout_.bind<&Greeting::on_timeout>(this);
    io_.watch(socket_.get(), IoWatcher::readable);
    timeout_.start(timeout);
}

void Greeting::over(const char* why) {
    io_.stop();
    timeout_.stop();
    owner_.on_over(*this, why);
}

void Greeting::on_timeout() {
    over("it did not finish the handshake in time");
}

void Greeting::on_readable(int) {
    Byte received[sealed::length_size + sealed::Handshake::first_overhead + sealed::Hello::max_size];
    const ssize_t got = ::recv(socket_.get(), received, sizeof received, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        over(got == 0 ? "it closed the connection before the handshake was done" : std::strerror(errno));
        return;
    }
    ByteView rest(received, static_cast<std::size_t>(got));
    if (!transport_ && !shake_hands(rest)) {
        return;
    }
    SecretArray<Transport::longest> plaintext;
    const Transport::Step step = transport_->receive(rest, plaintext.span());
    switch (step.event) {
    case Transport::Event::need_more: break;
    case Transport::Event::fault: over(sentence(step.fault)); break;
    case Transport::Event::bytes: {
        io_.stop();
        timeout_.stop();
        auto seal = std::make_unique<Seal>(std::move(transport_), key_, step.bytes, rest.subspan(step.used));
        owner_.on_known(*this, std::move(socket_), std::move(seal));
        break;
    }
    }
}

// False when it is over, or when more must come; `received` is then used up.
bool Greeting::shake_hands(ByteView& received) {
    const auto step = responder_->receive(received);
    received = received.subspan(step.used);
    switch (step.event) {
    case sealed::Responder::Event::need_more: return false;
    case sealed::Responder::Event::fault: over(sentence(step.fault)); return false;
    case sealed::Responder::Event::asked: break;
    }
    return answer();
}

bool Greeting::answer() {
    key_ = responder_->client();
    plain_ = responder_->plain();
    const sealed::Hello* const hello = owner_.on_asked(*this, key_);
    if (hello == nullptr) {
        over(nullptr);
        return false;
    }
    sealed::SecretKey random;
    randombytes_buf(random.data(), random.size());
    Byte out[sealed::Responder::max_answer];
    const Time now = Loop::now();
    const auto size = responder_->answer(*hello, random, now, out);
    if (!size) {
        over(sentence(sealed::Fault::weak_key));
        return false;
    }
    // Nothing was sent before: a socket's buffer takes as much as this.
    if (::send(socket_.get(), out, *size, MSG_NOSIGNAL) != static_cast<ssize_t>(*size)) {
        over("it does not take the handshake's answer");
        return false;
    }
    try {
        transport_ = transports_.make(responder_->transport(now));
    } catch (const std::exception& refused) { // no memory may be locked
        over(refused.what());
        return false;
    }
    responder_.reset();
    return true;
}

} // namespace ekey
