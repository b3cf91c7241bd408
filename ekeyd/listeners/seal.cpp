#include "ekeyd/listeners/seal.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>

namespace ekey {

using sealed::Transport;

Seal::Seal(Transports::Owned transport, const sealed::PublicKey& key, ByteView plaintext, ByteView received)
    : transport_(std::move(transport)), key_(key), plaintext_(plaintext.begin(), plaintext.end()) {
    open(received);
}

Seal::~Seal() {
    wipe(plaintext_);
}

// Appends what the messages hold. False when one is at fault: what came before it stays good.
bool Seal::open(ByteView received) {
    SecretArray<Transport::longest> out;
    for (;;) {
        const Transport::Step step = transport_->receive(received, out.span());
        received = received.subspan(step.used);
        switch (step.event) {
        case Transport::Event::need_more: return true;
        case Transport::Event::fault: fault_ = step.fault; return false;
        case Transport::Event::bytes:
            plaintext_.insert(plaintext_.end(), step.bytes.begin(), step.bytes.end());
            break;
        }
    }
}

ssize_t Seal::read(int socket, ByteSpan into, Time now) {
    while (given_ == plaintext_.size()) {
        wipe(plaintext_);
        plaintext_.clear();
        given_ = 0;
        if (fault_ != sealed::Fault::none) {
            errno = EBADMSG;
            return -1;
        }
        if (is_old(now)) {
            return 0;
        }
        Byte received[Transport::longest + Transport::overhead]; // a message as long as there is
        const ssize_t got = ::recv(socket, received, sizeof received, 0);
        if (got == 0) {
            fault_ = transport_->at_end();
        }
        if (got <= 0) {
            return got;
        }
        open({received, static_cast<std::size_t>(got)});
    }
    const std::size_t size = std::min(into.size(), plaintext_.size() - given_);
    std::copy_n(plaintext_.begin() + static_cast<std::ptrdiff_t>(given_), size, into.begin());
    given_ += size;
    return static_cast<ssize_t>(size);
}

bool Seal::flush(int socket) {
    while (!sealed_.empty()) {
        const ssize_t sent = ::send(socket, sealed_.data(), sealed_.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        sealed_.erase(sealed_.begin(), sealed_.begin() + sent);
    }
    return true;
}

ssize_t Seal::write(int socket, ByteView bytes) {
    if (!flush(socket)) {
        return -1;
    }
    if (has_output()) {
        errno = EAGAIN;
        return -1;
    }
    sealed_.resize(bytes.size() + Transport::overhead);
    if (transport_->seal(bytes, sealed_) == 0) {
        sealed_.clear();
        errno = EPIPE;
        return -1;
    }
    return flush(socket) ? static_cast<ssize_t>(bytes.size()) : -1;
}

} // namespace ekey
