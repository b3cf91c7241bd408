// Guards the EGD client's reader of answers (protocol/egd/client.h) against hostile servers.
// Promise: any cutting of the stream gives the same answers; a read never brings more than was asked for, a
// blocking one never less; after an error nothing is used any more; what our own server would answer is
// understood.
#include <string>
#include <vector>

#include "protocol/egd/client.h"
#include "protocol/egd/server.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using egd::AnswerReader, egd::Command, egd::Request;

namespace {

struct Answers {
    std::vector<std::string> complete;
    std::string piece; // of the read that is being answered
    bool failed = false;
    bool operator==(const Answers&) const = default;
};

void note(Answers& answers, const AnswerReader::Step& step, const Request& asked, ByteView piece) {
    using Event = AnswerReader::Event;
    must(step.request == asked, "answers come in the order of the requests");
    switch (step.event) {
    case Event::level: answers.complete.push_back("level " + std::to_string(step.level)); break;
    case Event::process_id:
        must(!step.process_id.empty() && step.process_id.size() <= egd::max_process_id,
             "a process id is no longer than a number");
        answers.complete.push_back("id " + std::string(step.process_id));
        break;
    case Event::bytes:
        must(inside(step.bytes, piece), "random bytes are the input's");
        answers.piece += as_text(step.bytes);
        must(answers.piece.size() <= asked.count, "a read never brings more than was asked for");
        if (step.complete) {
            must(asked.command == Command::read || answers.piece.size() == asked.count,
                 "a blocking read never brings less");
            answers.complete.push_back("bytes " + answers.piece);
            answers.piece.clear();
        }
        break;
    case Event::need_more:
    case Event::error: break;
    }
}

Answers read(const std::vector<Request>& asked, ByteView stream, Cuts cuts) {
    AnswerReader reader;
    for (const Request& request : asked)
        must(reader.expect(request), "a request within the bound is noted");
    Answers answers;
    do {
        ByteView piece = cuts.next(stream);
        for (;;) {
            const auto step = reader.receive(piece);
            must(step.used <= piece.size(), "no more is used than was given");
            if (step.event == AnswerReader::Event::error) {
                answers.failed = true;
                const auto again = reader.receive(piece);
                must(again.event == AnswerReader::Event::error && again.used == 0, "an error is for good");
                return answers;
            }
            if (step.event == AnswerReader::Event::need_more) {
                must(step.used == piece.size(), "more is wanted only when all is used");
                break;
            }
            must(answers.complete.size() < asked.size(), "there is no answer without a request");
            note(answers, step, asked[answers.complete.size()], piece);
            piece = piece.subspan(step.used);
        }
        must(reader.outstanding() == asked.size() - answers.complete.size(), "requests are counted");
    } while (!stream.empty());
    return answers;
}

// The answers of our own server, with bytes taken from the input.
void check_own_server(const std::vector<Request>& asked, Input input, Cuts cuts) {
    std::string stream;
    Answers expected;
    for (const Request& request : asked) {
        std::array<Byte, egd::max_answer> out;
        if (request.command == Command::level) {
            const std::uint64_t bits = std::uint64_t{input.word()} << (input.byte() % 24);
            stream += as_text(ByteView(out).first(egd::encode_level(bits, out)));
            expected.complete.push_back("level " + std::to_string(std::min<std::uint64_t>(bits, 0xffffffff)));
        } else if (request.command == Command::process_id) {
            const std::int64_t id = input.word();
            stream += as_text(ByteView(out).first(egd::encode_process_id(id, out)));
            expected.complete.push_back("id " + std::to_string(id));
        } else {
            std::string bytes(as_text(input.take(request.count)));
            if (request.command == Command::read)
                stream += static_cast<char>(bytes.size());
            else
                bytes.resize(request.count);
            stream += bytes;
            expected.complete.push_back("bytes " + bytes);
        }
    }
    must(read(asked, as_bytes(stream), cuts) == expected, "our own server's answers are understood");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input({data, size});
    const Cuts cuts(input.byte());
    std::vector<Request> asked(input.byte() % (AnswerReader::max_outstanding + 1));
    for (Request& request : asked) {
        constexpr Command commands[] = {Command::level, Command::read, Command::read_blocking,
                                        Command::process_id};
        request.command = commands[input.byte() % 4];
        if (request.command == Command::read || request.command == Command::read_blocking)
            request.count = input.byte();
    }
    check_own_server(asked, input, cuts);
    const ByteView stream = input.rest();
    must(read(asked, stream, Cuts(0)) == read(asked, stream, cuts), "any cutting means the same");
    return 0;
}
