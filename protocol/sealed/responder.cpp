#include "protocol/sealed/responder.h"

#include <cassert>

#include "protocol/sealed/prologue.h"

namespace ekey::sealed {

Responder::Responder(const KeyPair& self)
    : self_(&self), reader_(Handshake::first_overhead + Hello::max_size),
      handshake_(Handshake::responder(self, as_bytes(prologue))) {
    handshake_.allow(as_bytes(plain_prologue));
}

Responder::Step Responder::refuse(std::size_t used, Fault fault) {
    fault_ = fault;
    return {used, Event::fault, fault};
}

Responder::Step Responder::receive(ByteView in) {
    if (fault_ != Fault::none) {
        return refuse(0, fault_);
    }
    const MessageReader::Step step = reader_.receive(in);
    switch (step.event) {
    case MessageReader::Event::need_more: return {step.used, Event::need_more, Fault::none};
    case MessageReader::Event::too_long: return refuse(step.used, Fault::too_long);
    case MessageReader::Event::message: break;
    }
    std::array<Byte, Handshake::first_overhead + Hello::max_size> payload;
    const Handshake::Read read = handshake_.read(step.message, payload);
    if (read.fault != Fault::none) {
        return refuse(step.used, read.fault);
    }
    if (!plain()) {
        auto hello = decode_hello(ByteView(payload).first(read.size));
        if (!hello) {
            return refuse(step.used, Fault::bad_payload);
        }
        hello_ = std::move(*hello);
    }
    return {step.used, Event::asked, Fault::none};
}

std::optional<std::size_t> Responder::answer(const Hello& hello, const SecretKey& random, Time now,
                                             ByteSpan out) {
    assert(out.size() >= max_answer);
    std::array<Byte, Hello::max_size> payload;
    const std::size_t size = plain() ? 0 : encode_hello(hello, payload);
    const auto written = handshake_.write(ByteView(payload).first(size),
                                          ephemeral_secret(*self_, random, now), out.subspan(length_size));
    if (!written) {
        fault_ = Fault::weak_key;
        return std::nullopt;
    }
    write_length(*written, out);
    return length_size + *written;
}

} // namespace ekey::sealed
