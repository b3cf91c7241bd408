#include "protocol/egd/server.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <limits>

namespace ekey::egd {

RequestParser::Step RequestParser::parse(ByteView in) {
    std::size_t used = 0;
    while (used < in.size()) {
        if (state_ == State::payload) {
            const std::size_t piece = std::min<std::size_t>(remaining_, in.size() - used);
            remaining_ = static_cast<Byte>(remaining_ - piece);
            if (remaining_ == 0) {
                state_ = State::command;
            }
            return {used + piece, Event::written, {}, in.subspan(used, piece)};
        }
        if (state_ == State::failed) {
            return {used, Event::error, {}, {}};
        }
        const Byte byte = in[used++];
        switch (state_) {
        case State::command:
            switch (static_cast<Command>(byte)) {
            case Command::level: return {used, Event::request, {Command::level, 0}, {}};
            case Command::process_id: return {used, Event::request, {Command::process_id, 0}, {}};
            case Command::read: state_ = State::read_count; break;
            case Command::read_blocking: state_ = State::blocking_count; break;
            case Command::write: state_ = State::write_bits_high; break;
            default: state_ = State::failed; return {used, Event::error, {}, {}};
            }
            break;
        case State::read_count:
            state_ = State::command;
            return {used, Event::request, {Command::read, byte}, {}};
        case State::blocking_count:
            state_ = State::command;
            return {used, Event::request, {Command::read_blocking, byte}, {}};
        // The bits that a client claims are not believed, so they are not kept.
        case State::write_bits_high: state_ = State::write_bits_low; break;
        case State::write_bits_low: state_ = State::write_count; break;
        case State::write_count:
            remaining_ = byte;
            state_ = byte == 0 ? State::command : State::payload;
            break;
        case State::payload:
        case State::failed: break; // handled above
        }
    }
    return {used, state_ == State::failed ? Event::error : Event::need_more, {}, {}};
}

std::size_t RequestParser::encode_position(ByteSpan out) const {
    assert(out.size() >= write_header);
    constexpr Byte no_command = 0xff;
    // The bits that a write claims are not kept, so zeros stand for them.
    const auto begun = [&](Command command, std::size_t size) {
        std::fill_n(out.begin(), size, Byte{0});
        out[0] = static_cast<Byte>(command);
        return size;
    };
    switch (state_) {
    case State::command: break;
    case State::read_count: return begun(Command::read, 1);
    case State::blocking_count: return begun(Command::read_blocking, 1);
    case State::write_bits_high: return begun(Command::write, 1);
    case State::write_bits_low: return begun(Command::write, 2);
    case State::write_count: return begun(Command::write, 3);
    case State::payload:
        begun(Command::write, write_header);
        out[write_header - 1] = remaining_;
        return write_header;
    case State::failed: out[0] = no_command; return 1;
    }
    return 0;
}

std::size_t encode_level(std::uint64_t bits, ByteSpan out) {
    assert(out.size() >= 4);
    const auto value =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(bits, std::numeric_limits<std::uint32_t>::max()));
    for (std::size_t i = 0; i < 4; ++i) {
        out[i] = static_cast<Byte>(value >> (24 - 8 * i));
    }
    return 4;
}

std::size_t encode_process_id(std::int64_t id, ByteSpan out) {
    assert(id >= 0 && out.size() >= 1 + max_process_id);
    char digits[max_process_id];
    const auto end = std::to_chars(digits, digits + sizeof digits, id);
    const auto length = static_cast<std::size_t>(end.ptr - digits);
    out[0] = static_cast<Byte>(length);
    std::memcpy(out.data() + 1, digits, length);
    return 1 + length;
}

} // namespace ekey::egd
