#include "protocol/sealed/transport.h"

#include <cassert>

namespace ekey::sealed {

std::size_t Transport::seal(ByteView plaintext, ByteSpan out) {
    assert(plaintext.size() <= longest && out.size() >= plaintext.size() + overhead);
    if (!sending_.usable()) {
        return 0;
    }
    sending_.encrypt({}, plaintext, out.subspan(length_size));
    write_length(plaintext.size() + tag_size, out);
    if (rekeying_) {
        sending_.rekey();
    }
    return plaintext.size() + overhead;
}

Transport::Step Transport::receive(ByteView in, ByteSpan out) {
    assert(out.size() >= longest);
    const auto refuse = [this](std::size_t used, Fault fault) {
        fault_ = fault;
        receiving_ = Cipher();
        return Step{used, Event::fault, {}, fault};
    };
    if (fault_ != Fault::none) {
        return refuse(0, fault_);
    }
    const MessageReader::Step step = reader_.receive(in);
    switch (step.event) {
    case MessageReader::Event::need_more: return {step.used, Event::need_more, {}, Fault::none};
    case MessageReader::Event::too_long: return refuse(step.used, Fault::too_long);
    case MessageReader::Event::message: break;
    }
    if (step.message.size() < tag_size) {
        return refuse(step.used, Fault::too_short);
    }
    if (!receiving_.usable()) {
        return refuse(step.used, Fault::exhausted);
    }
    if (!receiving_.decrypt({}, step.message, out)) {
        return refuse(step.used, Fault::forged);
    }
    if (rekeying_) {
        receiving_.rekey();
    }
    return {step.used, Event::bytes, out.first(step.message.size() - tag_size), Fault::none};
}

} // namespace ekey::sealed
