#include <doctest/doctest.h>

#include "protocol/sealed/reader.h"
#include "tests/unit/protocol/sealed/parts.h"

using namespace ekey;
using namespace ekey::test;
using sealed::MessageReader;
using Event = MessageReader::Event;

namespace {

// Feeds in pieces of `size` bytes and returns the messages.
std::vector<Bytes> read_in_pieces(ByteView stream, std::size_t size) {
    MessageReader reader(8);
    std::vector<Bytes> messages;
    while (!stream.empty()) {
        ByteView piece = stream.first(std::min(size, stream.size()));
        stream = stream.subspan(piece.size());
        for (;;) {
            const auto step = reader.receive(piece);
            piece = piece.subspan(step.used);
            if (step.event != Event::message) {
                REQUIRE(step.event == Event::need_more);
                REQUIRE(piece.empty());
                break;
            }
            messages.push_back(to_vector(step.message));
        }
    }
    CHECK_FALSE(reader.within());
    return messages;
}

} // namespace

TEST_CASE("messages are found in any split") {
    const Bytes stream = {0, 3, 'a', 'b', 'c', 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 'z'};
    const std::vector<Bytes> expected = {{'a', 'b', 'c'}, {}, {1, 2, 3, 4, 5, 6, 7, 8}, {'z'}};
    for (std::size_t size = 1; size <= stream.size(); ++size) {
        CAPTURE(size);
        CHECK(read_in_pieces(stream, size) == expected);
    }
}

TEST_CASE("nothing beyond a message is consumed") {
    MessageReader reader(8);
    const Bytes stream = {0, 1, 'a', 0, 1, 'b'};
    CHECK(reader.receive(stream).used == 3);
    CHECK(reader.receive(Bytes{0}).used == 1);
    const auto step = reader.receive(Bytes{1, 'c', 0});
    CHECK(step.used == 2);
    CHECK(to_vector(step.message) == bytes_of("c"));
}

TEST_CASE("a length above the limit ends the reading, however it comes") {
    MessageReader whole(8), bytewise(8);
    const Bytes stream = {0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    CHECK(whole.receive(stream).event == Event::too_long);
    CHECK(whole.receive(stream).event == Event::too_long);
    CHECK(bytewise.receive(ByteView(stream).first(1)).event == Event::need_more);
    CHECK(bytewise.receive(ByteView(stream).subspan(1, 1)).event == Event::too_long);
    CHECK(bytewise.receive(Bytes{0}).event == Event::too_long);
    MessageReader most(65535);
    CHECK(most.receive(Bytes{0xff, 0xff, 1}).event == Event::need_more);
    CHECK(most.within());
}

TEST_CASE("lengths are written big-endian") {
    Bytes out(2);
    sealed::write_length(0x1234, out);
    CHECK(out == Bytes{0x12, 0x34});
}
