#include "protocol/egd/client.h"

#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/egd/server.h"

using namespace ekey;
using egd::AnswerReader;
using egd::Command;
using egd::Request;
using Event = AnswerReader::Event;

namespace {

// What the reader said, as one line: a letter an answer, bytes as they are, '.' where an answer is complete.
std::string feed(AnswerReader& reader, const std::string& in, std::size_t piece) {
    std::string seen;
    for (std::size_t at = 0; at < in.size(); at += piece) {
        ByteView rest = as_bytes(std::string_view(in).substr(at, piece));
        for (;;) {
            const auto step = reader.receive(rest);
            REQUIRE(step.used <= rest.size());
            rest = rest.subspan(step.used);
            if (step.event == Event::level) {
                seen += "L" + std::to_string(step.level) + ".";
            } else if (step.event == Event::process_id) {
                seen += "P" + std::string(step.process_id) + ".";
            } else if (step.event == Event::bytes) {
                seen += as_text(step.bytes);
                seen += step.complete ? "." : "";
            } else if (step.event == Event::error) {
                return seen + "ERROR";
            } else {
                break;
            }
        }
        CHECK(rest.empty());
    }
    return seen;
}

void feed_three_ways(const std::vector<Request>& asked, const std::string& in, const std::string& expected) {
    for (const std::size_t piece : {in.size(), std::size_t{1}}) {
        AnswerReader reader;
        for (const Request& request : asked) {
            REQUIRE(reader.expect(request));
        }
        CHECK(feed(reader, in, piece) == expected);
    }
    AnswerReader reader;
    for (const Request& request : asked) {
        REQUIRE(reader.expect(request));
    }
    REQUIRE(reader.expect({Command::read, 4}));
    const std::string tailed = in + std::string("\x03"
                                                "xyz",
                                                4);
    CHECK(feed(reader, tailed, tailed.size()) ==
          (expected.ends_with("ERROR") ? expected : expected + "xyz."));
}

} // namespace

TEST_CASE("egd client: requests as the protocol writes them") {
    Byte out[300];
    CHECK(egd::encode_request({Command::level, 0}, out) == 1);
    CHECK(out[0] == 0x00);
    CHECK(egd::encode_request({Command::read, 20}, out) == 2); // what Postfix's tlsmgr sends
    CHECK((out[0] == 0x01 && out[1] == 20));
    CHECK(egd::encode_request({Command::read_blocking, 64}, out) == 2); // what QEMU sends
    CHECK((out[0] == 0x02 && out[1] == 64));
    CHECK(egd::encode_request({Command::process_id, 0}, out) == 1);
    CHECK(out[0] == 0x04);
    CHECK(egd::encode_write(0x1234, as_bytes("abc"), out) == 7);
    CHECK(as_text(ByteView(out, 7)) == "\x03\x12\x34\x03"
                                       "abc");
}

TEST_CASE("egd client: answers in three feedings") {
    feed_three_ways({{Command::level, 0}}, std::string("\x00\x08\x00\x00", 4), "L524288.");
    feed_three_ways({{Command::read, 5}},
                    "\x05"
                    "abcde",
                    "abcde.");
    feed_three_ways({{Command::read, 5}},
                    "\x02"
                    "ab",
                    "ab.");
    feed_three_ways({{Command::read, 5}}, std::string(1, '\0'), ".");
    feed_three_ways({{Command::read_blocking, 5}}, "abcde", "abcde.");
    feed_three_ways({{Command::process_id, 0}},
                    "\x04"
                    "1234",
                    "P1234.");
    feed_three_ways({{Command::process_id, 0}}, "\x02-1", "P-1."); // ekeyd 1.1.5
    feed_three_ways(
        {{Command::read_blocking, 2}, {Command::read, 9}, {Command::level, 0}, {Command::read_blocking, 3}},
        std::string("ab\x01"
                    "c\xff\xff\xff\xff"
                    "def",
                    11),
        "ab.c.L4294967295.def.");
}

TEST_CASE("promise 5: egd client: a server's counts are not believed") {
    feed_three_ways({{Command::read, 5}},
                    "\x06"
                    "abcdef",
                    "ERROR");
    feed_three_ways({{Command::read, 0}},
                    "\x01"
                    "a",
                    "ERROR");
    feed_three_ways({{Command::process_id, 0}}, std::string(1, '\0'), "ERROR");
    feed_three_ways({{Command::process_id, 0}},
                    "\x15"
                    "123456789012345678901",
                    "ERROR");
    feed_three_ways({{Command::process_id, 0}},
                    "\x02"
                    "1;",
                    "ERROR");
    feed_three_ways({{Command::process_id, 0}},
                    "\x02"
                    "1-",
                    "ERROR");

    AnswerReader reader;
    CHECK(feed(reader, "x", 1) == "ERROR");
    REQUIRE(reader.expect({Command::read_blocking, 1}));
    CHECK(feed(reader, "x", 1) == "ERROR"); // for good
}

TEST_CASE("egd client: requests in flight are bounded") {
    AnswerReader reader;
    for (std::size_t i = 0; i < AnswerReader::max_outstanding; ++i) {
        REQUIRE(reader.expect({Command::read_blocking, 1}));
    }
    CHECK_FALSE(reader.expect({Command::read_blocking, 1}));
    CHECK(feed(reader, "x", 1) == "x.");
    CHECK(reader.expect({Command::read_blocking, 1})); // the ring goes round
    CHECK(reader.outstanding() == AnswerReader::max_outstanding);
    CHECK(feed(reader, std::string(32, 'y'), 32).size() == 64);
    CHECK(reader.outstanding() == 0);
}

TEST_CASE("egd client: a blocking read of nothing is answered by nothing") {
    AnswerReader reader;
    REQUIRE(reader.expect({Command::read_blocking, 0}));
    const auto step = reader.receive({});
    CHECK(step.event == Event::bytes);
    CHECK((step.complete && step.bytes.empty()));
    CHECK(reader.receive({}).event == Event::need_more);
}

TEST_CASE("egd client and server understand each other in any split") {
    std::mt19937 random(2);
    for (int round = 0; round < 200; ++round) {
        std::vector<Byte> sent;
        std::vector<Request> asked;
        for (std::size_t n = 1 + random() % 20; n > 0; --n) {
            const Command commands[] = {Command::level, Command::read, Command::read_blocking,
                                        Command::process_id};
            Request request{commands[random() % 4], 0};
            if (request.command == Command::read || request.command == Command::read_blocking) {
                request.count = static_cast<Byte>(random() % 256);
            }
            Byte out[egd::max_request];
            const std::size_t size = egd::encode_request(request, out);
            sent.insert(sent.end(), out, out + size);
            asked.push_back(request);
        }
        egd::RequestParser parser;
        std::vector<Request> heard;
        for (ByteView rest = sent;;) {
            const std::size_t piece = std::min(rest.size(), std::size_t{1} + random() % 3);
            const auto step = parser.parse(rest.first(piece));
            rest = rest.subspan(step.used);
            if (step.event == egd::RequestParser::Event::request) {
                heard.push_back(step.request);
            } else if (rest.empty()) {
                break;
            }
        }
        CHECK(heard == asked);
    }
}

TEST_CASE("egd client: any bytes from a server end in answers or one error") {
    std::mt19937 random(3);
    for (int round = 0; round < 500; ++round) {
        AnswerReader reader;
        for (int i = 0; i < 8; ++i) {
            const Command commands[] = {Command::level, Command::read, Command::read_blocking,
                                        Command::process_id};
            reader.expect({commands[random() % 4], static_cast<Byte>(random() % 40)});
        }
        std::string in(200, '\0');
        for (char& c : in) {
            c = static_cast<char>(random());
        }
        feed(reader, in, 1 + random() % 30); // receive() never uses more than it is given: checked there
    }
}
