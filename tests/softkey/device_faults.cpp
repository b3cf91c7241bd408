// The half of the device that makes packets, and spoils them as it was told to.
#include <algorithm>

#include "tests/softkey/device.h"

namespace ekey::softkey {

using entropykey::block_size;
using entropykey::PacketType;

namespace {

constexpr std::size_t usual_garbage = 37; // neither a frame nor a multiple of anything
constexpr std::size_t usual_short_frame = 40;
constexpr std::size_t usual_short_read = 20; // a frame is three pieces of it and a rest

// Garbage that looks as much like frames as it can: starts of frames, line ends, bytes of every kind. The
// same in every run.
std::vector<Byte> garbage(std::size_t size) {
    constexpr std::string_view bait = "* E!\r\n* \r\n";
    std::vector<Byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = i % 25 < bait.size() ? static_cast<Byte>(bait[i % 25]) : static_cast<Byte>(i * 89 + 7);
    }
    return bytes;
}

} // namespace

const Fault* Device::covering(FaultKind kind) const {
    const auto fault =
        std::ranges::find_if(faults_, [&](const Fault& f) { return f.kind == kind && f.covers(packets_); });
    return fault == faults_.end() ? nullptr : &*fault;
}

void Device::note(const Fault& fault, std::string_view what) {
    owner_.on_note("fault " + fault.text + " " + std::string(what) + " at packet " +
                   std::to_string(packets_) + ", plaintext byte " + std::to_string(plaintext_bytes_));
}

bool Device::begin_faults(Time now) {
    begin_line_faults();
    for (std::size_t i = 0; i < faults_.size(); ++i) {
        const Fault& fault = faults_[i];
        if (begun_[i] && fault.last != Fault::for_ever && packets_ == fault.last + 1 &&
            fault.last != fault.first) {
            note(fault, "ends");
        }
        if (begun_[i] || packets_ < fault.first || fault.kind == FaultKind::no_answer) {
            continue;
        }
        begun_[i] = true;
        note(fault, "begins");
        switch (fault.kind) {
        case FaultKind::silent:
            silent_until_ = fault.back_after ? now + *fault.back_after : Time::max();
            return true;
        case FaultKind::unplugged:
            if (fault.number) {
                cut_frame(fault);
            } else {
                power_off(fault);
            }
            return true;
        case FaultKind::generators_failed:
        case FaultKind::temperature: stop_generators(fault.code); return true;
        default: break;
        }
    }
    return false;
}

void Device::begin_line_faults() {
    for (std::size_t i = 0; i < faults_.size(); ++i) {
        const FaultKind kind = faults_[i].kind;
        if ((kind == FaultKind::stall || kind == FaultKind::mute) && !begun_[i] &&
            packets_ >= faults_[i].first) {
            begun_[i] = true;
            note(faults_[i], "begins");
            owner_.on_line_fault(faults_[i]);
        }
    }
}

void Device::switch_off() {
    powered_ = false;
    cut_.reset();
    discard_output();
}

void Device::power_off(const Fault& fault) {
    switch_off();
    owner_.on_unplugged(fault.back_after);
}

// The packet is lost with its frame, and never counted.
void Device::cut_frame(const Fault& fault) {
    entropykey::FrameBytes frame{};
    const std::array<Byte, block_size> nothing{};
    entropykey::encode_binary(frame, PacketType::entropy, sequence_, nothing, *mac_);
    const auto kept = static_cast<std::ptrdiff_t>(*fault.number);
    output_.insert(output_.end(), frame.begin(), frame.begin() + kept);
    cut_ = fault;
}

void Device::add_fault(Fault fault) {
    fault.first = packets_;
    fault.last = Fault::for_ever;
    faults_.push_back(std::move(fault));
    begun_.push_back(false);
}

void Device::mend(Time now) {
    faults_.clear();
    begun_.clear();
    unanswered_left_ = 0;
    if (silent_until_) {
        silent_until_ = now;
    }
}

std::size_t Device::piece() const {
    const Fault* fault = covering(FaultKind::short_read);
    return fault == nullptr ? ~std::size_t{0}
                            : static_cast<std::size_t>(fault->number.value_or(usual_short_read));
}

void Device::begin_not_answering() {
    for (std::size_t i = 0; i < faults_.size(); ++i) {
        if (faults_[i].kind == FaultKind::no_answer && !begun_[i] && packets_ >= faults_[i].first) {
            begun_[i] = true;
            note(faults_[i], "begins");
            unanswered_left_ = faults_[i].number.value_or(Fault::for_ever);
        }
    }
}

void Device::stop_generators(char code) {
    report_.fail(code);
    emit_text(PacketType::info, entropykey::encode_info(report_.generators()));
    emit_text(PacketType::info, entropykey::encode_info(report_.climate()));
}

void Device::send_packet(Time now) {
    if (begin_faults(now)) {
        return;
    }
    std::array<Byte, block_size> plaintext{};
    if (!make_plaintext(plaintext)) {
        if (!noise_.ended()) {
            noise_awaited_ = true;
            return;
        }
        noise_ended_ = true;
        owner_.on_note("the noise has ended at packet " + std::to_string(packets_) +
                       ": nothing more to send");
        return;
    }
    const bool intact = covering(FaultKind::drop) == nullptr && covering(FaultKind::bad_mac) == nullptr &&
                        covering(FaultKind::short_frame) == nullptr;
    emit_entropy(plaintext);
    if (intact) {
        plaintext_bytes_ += plaintext.size();
        owner_.on_plaintext(plaintext);
    }
    wipe(plaintext);
    report_.count_packet();
    ++packets_;
}

bool Device::make_plaintext(std::span<Byte, block_size> out) {
    if (!noise_.fill(out)) {
        return false;
    }
    if (covering(FaultKind::biased) != nullptr) {
        std::array<Byte, block_size> more{};
        if (!noise_.fill(more)) {
            return false;
        }
        // The OR of two fair bits is one in three cases of four.
        std::ranges::transform(out, more, out.begin(),
                               [](Byte a, Byte b) { return static_cast<Byte>(a | b); });
    }
    if (covering(FaultKind::stuck_block) != nullptr) {
        if (!stuck_block_) {
            stuck_block_.emplace();
            std::ranges::copy(out, stuck_block_->begin());
        }
        std::ranges::copy(*stuck_block_, out.begin());
    }
    if (covering(FaultKind::stuck) != nullptr) {
        std::ranges::fill(out, Byte{0});
    }
    return true;
}

void Device::emit_entropy(std::span<const Byte, block_size> plaintext) {
    std::array<Byte, block_size> sealed{};
    pad_->apply(sequence_, plaintext, sealed);
    entropykey::FrameBytes frame{};
    entropykey::encode_binary(frame, PacketType::entropy, sequence_, sealed, *mac_);
    ++sequence_;
    if (const Fault* fault = covering(FaultKind::garbage)) {
        const auto bytes = garbage(fault->number.value_or(usual_garbage));
        output_.insert(output_.end(), bytes.begin(), bytes.end());
    }
    if (covering(FaultKind::bad_mac) != nullptr) {
        Byte& character = frame[entropykey::mac_offset];
        character = character == 'A' ? 'B' : 'A';
    }
    if (covering(FaultKind::drop) != nullptr) {
        return;
    }
    if (const Fault* fault = covering(FaultKind::short_frame)) {
        const auto kept = static_cast<std::ptrdiff_t>(fault->number.value_or(usual_short_frame));
        output_.insert(output_.end(), frame.begin(), frame.begin() + kept);
        return;
    }
    emit(frame);
    if (covering(FaultKind::replay) != nullptr) {
        emit(frame);
    }
}

} // namespace ekey::softkey
