#include "protocol/sealed/reader.h"

#include <algorithm>
#include <cassert>

namespace ekey::sealed {

void write_length(std::size_t size, ByteSpan out) {
    assert(size <= 0xffff && out.size() >= length_size);
    out[0] = static_cast<Byte>(size >> 8);
    out[1] = static_cast<Byte>(size & 0xff);
}

MessageReader::Step MessageReader::receive(ByteView in) {
    if (given_) {
        held_ = {};
        given_ = false;
    }
    const auto length_of = [](ByteView bytes) {
        return static_cast<std::size_t>(bytes[0]) << 8 | static_cast<std::size_t>(bytes[1]);
    };
    std::size_t used = 0;
    while (held_.size() < length_size) {
        if (held_.empty() && in.size() >= length_size) { // the usual case: a whole message, which stays there
            const std::size_t length = length_of(in);
            if (length > longest_) {
                return {0, Event::too_long, {}};
            }
            if (in.size() >= length_size + length) {
                return {length_size + length, Event::message, in.subspan(length_size, length)};
            }
        }
        if (used == in.size()) {
            return {used, Event::need_more, {}};
        }
        held_.push_back(in[used++]);
    }
    const std::size_t length = length_of(held_);
    if (length > longest_) {
        return {used, Event::too_long, {}};
    }
    const std::size_t piece = std::min(length_size + length - held_.size(), in.size() - used);
    held_.insert(held_.end(), in.begin() + static_cast<std::ptrdiff_t>(used),
                 in.begin() + static_cast<std::ptrdiff_t>(used + piece));
    used += piece;
    if (held_.size() < length_size + length) {
        return {used, Event::need_more, {}};
    }
    given_ = true;
    return {used, Event::message, ByteView(held_).subspan(length_size)};
}

} // namespace ekey::sealed
