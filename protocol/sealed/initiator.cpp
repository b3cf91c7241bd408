#include "protocol/sealed/initiator.h"

#include <cassert>

#include "protocol/sealed/prologue.h"

namespace ekey::sealed {

Initiator::Initiator(const KeyPair& self, const PublicKey& server)
    : self_(&self), reader_(Handshake::second_overhead + Hello::max_size),
      handshake_(Handshake::initiator(self, server, as_bytes(prologue))) {}

std::optional<std::size_t> Initiator::open(const Hello* hello, const SecretKey& random, Time now,
                                           ByteSpan out) {
    assert(handshake_ && out.size() >= max_opening);
    std::array<Byte, Hello::max_size> payload;
    const std::size_t size = hello != nullptr ? encode_hello(*hello, payload) : 0;
    const auto written = handshake_->write(ByteView(payload).first(size),
                                           ephemeral_secret(*self_, random, now), out.subspan(length_size));
    if (!written) {
        return std::nullopt;
    }
    write_length(*written, out);
    return length_size + *written;
}

Initiator::Step Initiator::refuse(std::size_t used, Fault fault) {
    fault_ = fault;
    handshake_.reset();
    transport_.reset();
    return {used, Event::fault, {}, fault};
}

Initiator::Step Initiator::receive_answer(ByteView in, Time now) {
    const MessageReader::Step step = reader_.receive(in);
    switch (step.event) {
    case MessageReader::Event::need_more: return {step.used, Event::need_more, {}, Fault::none};
    case MessageReader::Event::too_long: return refuse(step.used, Fault::too_long);
    case MessageReader::Event::message: break;
    }
    std::array<Byte, Handshake::second_overhead + Hello::max_size> payload;
    const Handshake::Read read = handshake_->read(step.message, payload);
    if (read.fault != Fault::none) {
        return refuse(step.used, read.fault);
    }
    auto hello = decode_hello(ByteView(payload).first(read.size));
    if (hello && hello->path.empty()) { // the server is no relay
        hello->path.push_back(handshake_->remote());
    }
    if (!hello || hello->path.front() != handshake_->remote()) {
        return refuse(step.used, Fault::bad_payload);
    }
    if (const Fault fault = judge(*hello, self_->public_key); fault != Fault::none) {
        return refuse(step.used, fault);
    }
    server_hello_ = std::move(*hello);
    transport_.emplace(handshake_->split(), true, now);
    handshake_.reset();
    return {step.used, Event::opened, {}, Fault::none};
}

Initiator::Step Initiator::receive(ByteView in, Time now, ByteSpan out) {
    if (fault_ != Fault::none) {
        return refuse(0, fault_);
    }
    if (!transport_) {
        return receive_answer(in, now);
    }
    const Transport::Step step = transport_->receive(in, out);
    switch (step.event) {
    case Transport::Event::need_more: break;
    case Transport::Event::bytes: return {step.used, Event::bytes, step.bytes, Fault::none};
    case Transport::Event::fault: return refuse(step.used, step.fault);
    }
    return {step.used, Event::need_more, {}, Fault::none};
}

Fault Initiator::at_end() const {
    if (fault_ != Fault::none) {
        return fault_;
    }
    return transport_ ? transport_->at_end() : Fault::truncated;
}

} // namespace ekey::sealed
