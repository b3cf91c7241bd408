// Guards the frame reader (protocol/entropykey/frame.h) against whatever a serial line brings.
// Promise: any cutting of the stream gives the same frames and counts; every frame is a piece of the input
// with its marks in place; every byte is in a frame, skipped, or among the fewer than 64 that are held.
#include <string>

#include "protocol/entropykey/frame.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using entropykey::FrameReader;

namespace {

std::string frames_of(FrameReader& reader, ByteView stream, Cuts cuts) {
    std::string frames;
    while (!stream.empty()) {
        ByteView piece = cuts.next(stream);
        while (!piece.empty()) {
            const auto [used, frame] = reader.next(piece);
            must(used > 0 && used <= piece.size(), "a reader uses something, and no more than it was given");
            must(frame != nullptr || used == piece.size(), "without a frame all of the input is used");
            piece = piece.subspan(used);
            if (frame != nullptr)
                frames += as_text(*frame);
        }
    }
    return frames;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input({data, size});
    const Cuts cuts(input.byte());
    const ByteView stream = input.rest();

    FrameReader whole, pieces;
    const std::string frames = frames_of(whole, stream, Cuts(0));
    must(frames == frames_of(pieces, stream, cuts), "any cutting gives the same frames");
    must(whole.frames() == pieces.frames() && whole.framing_errors() == pieces.framing_errors() &&
             whole.skipped_bytes() == pieces.skipped_bytes(),
         "any cutting gives the same counts");

    std::size_t from = 0;
    for (std::string_view rest = frames; !rest.empty(); rest.remove_prefix(entropykey::frame_size)) {
        const std::string_view frame = rest.substr(0, entropykey::frame_size);
        must(frame.starts_with("* ") && frame.ends_with("\r\n"), "a frame has its marks");
        const std::size_t at = as_text(stream).find(frame, from);
        must(at != std::string_view::npos, "a frame is a piece of the input, after the frame before it");
        from = at + frame.size();
    }
    const std::uint64_t accounted = frames.size() + whole.skipped_bytes();
    must(whole.frames() * entropykey::frame_size == frames.size(), "the count of frames is right");
    must(accounted <= stream.size() && stream.size() - accounted < entropykey::frame_size,
         "every byte is in a frame, skipped or held");
    return 0;
}
