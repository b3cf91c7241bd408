#include "protocol/egd/server.h"

#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace ekey;
using egd::Command;
using egd::Request;
using Event = egd::RequestParser::Event;

namespace {

struct Seen {
    std::vector<Request> requests;
    std::string written;
    bool error = false;
    bool operator==(const Seen&) const = default;
};

// Feeds `in` in pieces of at most `piece` bytes.
Seen feed(egd::RequestParser& parser, const std::vector<Byte>& in, std::size_t piece) {
    Seen seen;
    for (std::size_t at = 0; at < in.size() && !seen.error; at += piece) {
        ByteView rest = ByteView(in).subspan(at, std::min(piece, in.size() - at));
        for (;;) {
            const auto step = parser.parse(rest);
            REQUIRE(step.used <= rest.size());
            rest = rest.subspan(step.used);
            if (step.event == Event::request) {
                seen.requests.push_back(step.request);
            } else if (step.event == Event::written) {
                REQUIRE(!step.written.empty());
                seen.written += as_text(step.written);
            } else {
                seen.error = step.event == Event::error;
                break;
            }
        }
        CHECK((seen.error || rest.empty()));
    }
    return seen;
}

void feed_three_ways(const std::vector<Byte>& in, const Seen& expected) {
    {
        egd::RequestParser parser;
        CHECK(feed(parser, in, in.size()) == expected);
    }
    {
        egd::RequestParser parser;
        CHECK(feed(parser, in, 1) == expected);
    }
    egd::RequestParser parser; // with a tail: one more level request
    std::vector<Byte> tailed = in;
    tailed.push_back(0x00);
    Seen more = expected;
    if (!expected.error) {
        more.requests.push_back({Command::level, 0});
    }
    CHECK(feed(parser, tailed, tailed.size()) == more);
}

} // namespace

TEST_CASE("egd server: each command, pipelined, in three feedings") {
    feed_three_ways({0x00}, {{{Command::level, 0}}, "", false});
    feed_three_ways({0x01, 0x10}, {{{Command::read, 16}}, "", false});
    feed_three_ways({0x02, 0xff}, {{{Command::read_blocking, 255}}, "", false});
    feed_three_ways({0x04}, {{{Command::process_id, 0}}, "", false});
    feed_three_ways({0x02, 0x80, 0x02, 0x80, 0x01, 0x00, 0x04, 0x00, 0x02, 0x01},
                    {{{Command::read_blocking, 128},
                      {Command::read_blocking, 128},
                      {Command::read, 0},
                      {Command::process_id, 0},
                      {Command::level, 0},
                      {Command::read_blocking, 1}},
                     "",
                     false});
}

TEST_CASE("egd server: a write is consumed whole and its bytes are no commands") {
    feed_three_ways({0x03, 0x00, 0x18, 0x03, 0x02, 0x7f, 0xff, 0x00},
                    {{{Command::level, 0}}, "\x02\x7f\xff", false});
    feed_three_ways({0x03, 0xff, 0xff, 0x00, 0x04}, {{{Command::process_id, 0}}, "", false});

    std::vector<Byte> longest = {0x03, 0x07, 0xf8, 0xff};
    longest.insert(longest.end(), 255, Byte{0x05}); // 05 would be an error if it were taken as a command
    feed_three_ways(longest, {{}, std::string(255, '\x05'), false});
}

TEST_CASE("egd server: an unknown command is an error for good, and what stood before it counts") {
    feed_three_ways({0x00, 0x05}, {{{Command::level, 0}}, "", true});
    for (int command = 5; command < 256; ++command) {
        egd::RequestParser parser;
        const Byte bad[] = {static_cast<Byte>(command), 0x00};
        auto step = parser.parse(bad);
        CHECK(step.event == Event::error);
        const Byte good[] = {0x00};
        step = parser.parse(good);
        CHECK(step.event == Event::error);
        CHECK(step.used == 0);
    }
}

TEST_CASE("egd server: nothing in, nothing out") {
    egd::RequestParser parser;
    CHECK(parser.parse({}).event == Event::need_more);
    CHECK_FALSE(parser.inside_request());
    const Byte half[] = {0x02};
    CHECK(parser.parse(half).event == Event::need_more);
    CHECK(parser.inside_request());
    CHECK(sizeof(egd::RequestParser) <= 4);
}

TEST_CASE("egd server: any bytes in any split give the same events") {
    std::mt19937 random(1);
    for (int round = 0; round < 500; ++round) {
        std::vector<Byte> in(1 + random() % 200);
        for (Byte& b : in) {
            b = static_cast<Byte>(random() % (round % 2 == 0 ? 5 : 6)); // 5 is no command
        }
        egd::RequestParser whole, single, mixed;
        const Seen expected = feed(whole, in, in.size());
        CHECK(feed(single, in, 1) == expected);
        CHECK(feed(mixed, in, 1 + random() % 7) == expected);
    }
}

TEST_CASE("egd server: answers") {
    Byte out[32] = {};
    CHECK(egd::encode_level(0x01020304, out) == 4);
    CHECK(std::vector<Byte>(out, out + 4) == std::vector<Byte>{1, 2, 3, 4});
    CHECK(egd::encode_level(524288, out) == 4); // a full pool of 64 KiB
    CHECK(std::vector<Byte>(out, out + 4) == std::vector<Byte>{0, 8, 0, 0});
    CHECK(egd::encode_level(1ULL << 40, out) == 4);
    CHECK(std::vector<Byte>(out, out + 4) == std::vector<Byte>{255, 255, 255, 255});

    CHECK(egd::encode_process_id(1234, out) == 5);
    CHECK(as_text(ByteView(out, 5)) == "\x04"
                                       "1234");
    CHECK(egd::encode_process_id(0, out) == 2);
    CHECK(egd::encode_process_id(std::numeric_limits<std::int64_t>::max(), out) == 20);
    CHECK(as_text(ByteView(out, 20)) == "\x13"
                                        "9223372036854775807");
}

TEST_CASE(
    "a new parser that is given the position of another goes on where that one was, wherever it is cut") {
    // Each command, writes with and without bytes, and what is no command.
    const std::vector<Byte> in{0, 1, 2, 2, 3, 3,    0, 9, 4, 2, 1, 4, 3, 3,
                               1, 1, 0, 4, 2, 0xff, 3, 0, 0, 1, 9, 9, 0, 1};
    egd::RequestParser whole;
    const Seen all = feed(whole, in, in.size());
    REQUIRE(all.error);
    for (std::size_t cut = 0; cut <= in.size(); ++cut) {
        egd::RequestParser first, second;
        Seen seen = feed(first, {in.begin(), in.begin() + static_cast<std::ptrdiff_t>(cut)}, 1);
        Byte position[egd::write_header];
        const std::size_t size = first.encode_position(position);
        REQUIRE(size <= sizeof position);
        const Seen between = feed(second, {position, position + size}, 1);
        CHECK(between.requests.empty());
        CHECK(between.written.empty());
        CHECK(between.error == seen.error);
        CHECK(second.inside_request() == first.inside_request());
        const Seen rest = feed(second, {in.begin() + static_cast<std::ptrdiff_t>(cut), in.end()}, 1);
        seen.requests.insert(seen.requests.end(), rest.requests.begin(), rest.requests.end());
        CHECK(seen.requests == all.requests);
        CHECK(seen.written + rest.written == all.written);
        CHECK((seen.error || rest.error));
    }
}
