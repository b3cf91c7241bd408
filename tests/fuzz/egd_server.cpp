// Guards the EGD server's parser (protocol/egd/server.h) against hostile clients.
// Promise: any cutting of the stream gives the same requests and the same bytes written; a request is what
// stands in the input; nothing is used beyond the input; after an error nothing is used any more.
#include <string>

#include "protocol/egd/client.h"
#include "protocol/egd/server.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using egd::RequestParser;

namespace {

struct Heard {
    std::string requests, written;
    std::size_t used = 0;
    bool failed = false, inside = false;
    bool operator==(const Heard&) const = default;
};

Heard listen(ByteView stream, Cuts cuts) {
    RequestParser parser;
    Heard heard;
    const ByteView all = stream;
    while (!stream.empty() && !heard.failed) {
        ByteView piece = cuts.next(stream);
        for (bool more = true; more;) {
            const auto step = parser.parse(piece);
            must(step.used <= piece.size(), "no more is used than was given");
            heard.used += step.used;
            switch (step.event) {
            case RequestParser::Event::need_more:
                must(step.used == piece.size(), "more is wanted only when all is used");
                more = false;
                break;
            case RequestParser::Event::request: {
                std::array<Byte, egd::max_request> again;
                const std::size_t size = egd::encode_request(step.request, again);
                must(size <= heard.used && as_text(ByteView(again).first(size)) ==
                                               as_text(all.subspan(heard.used - size, size)),
                     "a request is what stands in the input");
                must(!parser.inside_request(), "a complete request leaves none open");
                heard.requests += as_text(ByteView(again).first(size));
                break;
            }
            case RequestParser::Event::written:
                must(!step.written.empty() && inside(step.written, piece), "written bytes are the input's");
                heard.written += as_text(step.written);
                break;
            case RequestParser::Event::error:
                heard.failed = true;
                more = false;
                break;
            }
            piece = piece.subspan(step.used);
        }
    }
    if (heard.failed) {
        const auto again = parser.parse(all);
        must(again.event == RequestParser::Event::error && again.used == 0, "an error is for good");
    }
    heard.inside = parser.inside_request();
    return heard;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input({data, size});
    const Cuts cuts(input.byte());
    const ByteView stream = input.rest();
    must(listen(stream, Cuts(0)) == listen(stream, cuts), "any cutting means the same");
    return 0;
}
