#include "egd-push/link.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include <unistd.h>

namespace ekey {

namespace {
sealed::PublicKey key_of(const config::Address& address) {
    return *sealed::decode_public_key(*address.find("key"));
}
} // namespace

Link::Link(Loop& loop, LinkOwner& owner, const config::Address& address, const sealed::KeyPair* self)
    : owner_(owner), is_device_(address.kind == "char"), connection_(loop, *this, address), io_(loop),
      room_(sealed::Transport::longest) {
    io_.bind<&Link::on_readable>(this);
    if (address.kind == "sealed") {
        assert(self != nullptr);
        sealed_.emplace(Sealed{*self, key_of(address), make_locked<std::optional<sealed::Initiator>>()});
    }
}

void Link::open(Time deadline) {
    close();
    connection_.open(deadline);
}

void Link::close() {
    ++closed_;
    open_ = false;
    io_.stop();
    connection_.close();
    if (sealed_) {
        sealed_->initiator->reset(); // and its keys
    }
}

bool Link::is_old() const {
    return open_ && sealed_ && Loop::now() - (*sealed_->initiator)->opened() > sealed::Transport::renew_after;
}

const char* Link::waits_for() const {
    const char* what = connection_.waits_for();
    return what == nullptr && connection_ && !open_ ? "the handshake was not answered" : what;
}

void Link::on_connected() {
    if (sealed_) {
        shake_hands();
    } else if (is_device_ && !discard_stale()) {
        lost("it gives bytes that nobody asked for");
    } else {
        opened();
    }
}

void Link::shake_hands() {
    auto& initiator = sealed_->initiator->emplace(sealed_->self, sealed_->server_key);
    sealed::SecretKey random;
    randombytes_buf(random.data(), random.size());
    std::array<Byte, sealed::Initiator::max_opening> first;
    // A client that is no relay has nothing to say about where its noise comes from.
    const auto size = initiator.open(nullptr, random, Loop::now(), first);
    if (!size) {
        lost(sealed::sentence(sealed::Fault::weak_key));
    } else if (const auto sent = write(ByteView(first).first(*size)); !sent) {
        lost(sent.error().what);
    } else {
        io_.watch(connection_.fd(), IoWatcher::readable);
    }
}

void Link::opened() {
    open_ = true;
    advice_ = 8;
    if (sealed_) {
        advice_ = std::min<unsigned>((*sealed_->initiator)->server().credit, 8);
    }
    io_.watch(connection_.fd(), IoWatcher::readable);
    owner_.on_open();
}

// Unlike a connection, a device may hold what was meant for an earlier request, even of another program.
bool Link::discard_stale() {
    // More than a guest's port holds (32 buffers of a page, virtio_console.c) is no server's late answer.
    constexpr std::size_t most = std::size_t{32} * 4096;
    for (std::size_t discarded = 0; discarded < most;) {
        const ssize_t got = ::read(connection_.fd(), room_.data(), room_.size());
        if (got <= 0) {
            wipe(room_.span());
            return true; // an end of file shows itself again when the answer is read
        }
        discarded += static_cast<std::size_t>(got);
    }
    return false;
}

Result<void> Link::send(ByteView bytes) {
    assert(open_ && bytes.size() <= longest_request);
    if (!sealed_) {
        return write(bytes);
    }
    std::array<Byte, longest_request + sealed::Transport::overhead> message;
    const std::size_t size = (*sealed_->initiator)->seal(bytes, message);
    return size == 0 ? fail(sealed::sentence(sealed::Fault::exhausted))
                     : write(ByteView(message).first(size));
}

Result<void> Link::write(ByteView bytes) {
    // Less than the buffer of any socket that has nothing else in it.
    const ssize_t sent = ::write(connection_.fd(), bytes.data(), bytes.size());
    if (sent < 0) {
        return fail(std::string("cannot send a request: ") + std::strerror(errno));
    }
    return sent == static_cast<ssize_t>(bytes.size()) ? Result<void>() : fail("takes no requests");
}

void Link::on_readable(int) {
    std::array<Byte, sealed::Transport::longest> ciphertext;
    const ByteSpan room = sealed_ ? ByteSpan(ciphertext) : room_.span();
    const ssize_t got = ::read(connection_.fd(), room.data(), room.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got < 0) {
        lost(std::strerror(errno));
    } else if (got == 0) {
        lost(why_ended());
    } else if (const ByteView in = room.first(static_cast<std::size_t>(got)); sealed_) {
        receive_sealed(in);
    } else {
        owner_.on_bytes(in);
        wipe(room_.span());
    }
}

void Link::receive_sealed(ByteView in) {
    using Event = sealed::Initiator::Event;
    for (const unsigned closed = closed_; closed == closed_;) {
        const auto step = (*sealed_->initiator)->receive(in, Loop::now(), room_.span());
        in = in.subspan(step.used);
        switch (step.event) {
        case Event::need_more: return;
        case Event::opened: opened(); break;
        case Event::bytes:
            owner_.on_bytes(step.bytes);
            wipe(room_.span());
            break;
        case Event::fault: lost(sealed::sentence(step.fault)); return;
        }
    }
}

std::string Link::why_ended() const {
    if (sealed_ && !open_) {
        return "closed the connection during the handshake: it does not have this key, or does not know "
               "this host's";
    }
    if (sealed_ && (*sealed_->initiator)->at_end() != sealed::Fault::none) {
        return sealed::sentence((*sealed_->initiator)->at_end());
    }
    return "closed the connection";
}

void Link::lost(const std::string& why) {
    close();
    owner_.on_lost(why);
}

} // namespace ekey
