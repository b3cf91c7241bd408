#include "protocol/egd/client.h"

#include <algorithm>
#include <cassert>

namespace ekey::egd {

std::size_t encode_request(const Request& request, ByteSpan out) {
    assert(request.command != Command::write && out.size() >= max_request);
    out[0] = static_cast<Byte>(request.command);
    if (request.command == Command::read || request.command == Command::read_blocking) {
        out[1] = request.count;
        return 2;
    }
    return 1;
}

std::size_t encode_write(std::uint16_t bits, ByteView bytes, ByteSpan out) {
    assert(bytes.size() <= max_count && out.size() >= write_header + bytes.size());
    out[0] = static_cast<Byte>(Command::write);
    out[1] = static_cast<Byte>(bits >> 8);
    out[2] = static_cast<Byte>(bits & 0xff);
    out[3] = static_cast<Byte>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), out.begin() + write_header);
    return write_header + bytes.size();
}

bool AnswerReader::expect(const Request& request) {
    assert(request.command != Command::write); // nothing answers it
    if (count_ == max_outstanding) {
        return false;
    }
    requests_[(first_ + count_) % max_outstanding] = request;
    ++count_;
    return true;
}

AnswerReader::Step AnswerReader::fail(std::size_t used, const char* why) {
    error_ = why;
    Step step;
    step.used = used;
    step.event = Event::error;
    step.error = why;
    return step;
}

void AnswerReader::finish() {
    first_ = (first_ + 1) % max_outstanding;
    --count_;
    begun_ = false;
}

AnswerReader::Step AnswerReader::bytes_of(const Request& request, std::size_t used, ByteView in) {
    const std::size_t piece = std::min(remaining_, in.size() - used);
    remaining_ -= piece;
    Step step;
    step.used = used + piece;
    step.event = Event::bytes;
    step.request = request;
    step.bytes = in.subspan(used, piece);
    step.complete = remaining_ == 0;
    if (step.complete) {
        finish();
    }
    return step;
}

AnswerReader::Step AnswerReader::receive(ByteView in) {
    if (error_ != nullptr) {
        return fail(0, error_);
    }
    if (count_ == 0) {
        return in.empty() ? Step{} : fail(0, "the server sent bytes that nothing asked for");
    }
    const Request request = requests_[first_];
    std::size_t used = 0;
    if (!begun_) {
        switch (request.command) {
        case Command::read_blocking: remaining_ = request.count; break;
        case Command::level:
            remaining_ = 4;
            number_ = 0;
            break;
        case Command::read:
        case Command::process_id:
            if (in.empty()) {
                return {};
            }
            remaining_ = in[used++];
            length_ = 0;
            if (request.command == Command::read && remaining_ > request.count) {
                return fail(used, "the server's answer is longer than what was asked for");
            }
            if (request.command == Command::process_id && (remaining_ == 0 || remaining_ > max_process_id)) {
                return fail(used, "the server's process id is empty or longer than any number");
            }
            break;
        case Command::write: break; // expect() takes none
        }
        begun_ = true;
    }

    if (request.command == Command::read || request.command == Command::read_blocking) {
        if (remaining_ > 0 && used == in.size()) {
            Step more;
            more.used = used;
            return more;
        }
        return bytes_of(request, used, in);
    }

    Step step;
    for (; remaining_ > 0 && used < in.size(); --remaining_) {
        const Byte byte = in[used++];
        if (request.command == Command::level) {
            number_ = number_ << 8 | byte;
        } else if ((byte >= '0' && byte <= '9') || (byte == '-' && length_ == 0)) {
            text_[length_++] = static_cast<char>(byte);
        } else {
            return fail(used, "the server's process id is not a number");
        }
    }
    step.used = used;
    if (remaining_ == 0) {
        step.request = request;
        step.complete = true;
        step.event = request.command == Command::level ? Event::level : Event::process_id;
        step.level = number_;
        step.process_id = {text_.data(), length_};
        finish();
    }
    return step;
}

} // namespace ekey::egd
