#include <random>

#include <doctest/doctest.h>

#include "tests/support/entropy_key_vectors.h"

using namespace ekey;
using namespace ekey::entropykey;
using namespace ekey::test;

namespace {

struct Found {
    std::vector<FrameBytes> frames;
    std::uint64_t errors, skipped;
    bool operator==(const Found&) const = default;
};

// Feeds `stream` in pieces of at most `piece` bytes.
Found read_frames(std::string_view stream, std::size_t piece) {
    FrameReader reader;
    Found found{};
    ByteView rest = as_bytes(stream);
    while (!rest.empty()) {
        ByteView in = rest.first(std::min(piece, rest.size()));
        rest = rest.subspan(in.size());
        while (!in.empty()) {
            const auto step = reader.next(in);
            REQUIRE(step.used > 0);
            REQUIRE(step.used <= in.size());
            in = in.subspan(step.used);
            if (step.frame != nullptr)
                found.frames.push_back(*step.frame);
            else
                CHECK(in.empty());
        }
    }
    CHECK(reader.frames() == found.frames.size());
    found.errors = reader.framing_errors();
    found.skipped = reader.skipped_bytes();
    return found;
}

Found read_every_way(std::string_view stream) {
    const Found whole = read_frames(stream, stream.size() + 1);
    for (const std::size_t piece : {1, 2, 3, 63, 64, 65})
        CHECK(read_frames(stream, piece) == whole);
    return whole;
}

const std::string good = "* k>Unable to send entropy. Please re-key session.    VqrrSb4k\r\n";
const std::string other = "* I>T03143 V03254                                     apKTNVoy\r\n";

} // namespace

TEST_CASE("frame: the vendor's published frames verify, and change of any byte is noticed") {
    const auto published = entropy_key_vectors().get_child("published_frames");
    const FrameMac mac(serial_at(published), session_key_at(published));
    int count = 0;
    for (const auto& [_, item] : published.get_child("frames")) {
        const auto frame = frame_from(item.get_value<std::string>());
        CHECK(mac.verify(frame));
        for (std::size_t i = content_offset; i < mac_offset + mac_text_size; ++i) {
            auto changed = frame;
            changed[i] ^= 1;
            CHECK_FALSE(mac.verify(changed));
        }
        FrameBytes built;
        encode_frame(built, static_cast<char>(frame[2]), static_cast<char>(frame[3]),
                     FrameView(frame).subspan<payload_offset, payload_size>(), mac);
        CHECK(built == frame);
        ++count;
    }
    CHECK(count == 10);
}

TEST_CASE("frame: another key or serial makes another MAC") {
    const auto published = entropy_key_vectors().get_child("published_frames");
    const auto frame = frame_from(good);
    Serial serial = serial_at(published);
    SessionKey key;
    REQUIRE(FrameMac(serial, key).verify(frame));
    key.data()[31] = 1;
    CHECK_FALSE(FrameMac(serial, key).verify(frame));
    serial.bytes[0] ^= 1;
    CHECK_FALSE(FrameMac(serial, SessionKey()).verify(frame));
}

TEST_CASE("frame: frames back to back, in pieces of any size") {
    const auto found = read_every_way(good + other + good);
    CHECK(found.frames == std::vector{frame_from(good), frame_from(other), frame_from(good)});
    CHECK(found.errors == 0);
    CHECK(found.skipped == 0);
}

TEST_CASE("frame: a tail waits for the rest") {
    const auto found = read_every_way(good + other.substr(0, 63));
    CHECK(found.frames == std::vector{frame_from(good)});
    CHECK(found.errors == 0);
}

TEST_CASE("frame: what is not a frame is skipped and counted") {
    struct {
        std::string stream;
        std::size_t frames, errors, skipped;
    } const cases[] = {
        {"noise" + good, 1, 1, 5},
        {"*" + good, 1, 1, 1},
        {"**" + good, 1, 1, 2},
        {"* " + good, 1, 1, 2},
        {"* * * * " + good, 1, 1, 8},
        {good + "x" + good + "yy" + good, 3, 2, 3},
        {good.substr(0, 40) + good, 1, 1, 40}, // a short frame
        {good.substr(0, 63) + good, 1, 1, 63}, // its last byte lost
        {good.substr(0, 62) + good.substr(62) + "\n" + good, 2, 1, 1},
        {good.substr(1) + good, 1, 1, 63},              // its first byte lost
        {good.substr(0, 62) + "\n\r" + good, 1, 1, 64}, // 64 bytes without CR LF at the end
        {good.substr(0, 62) + "\r\r" + good, 1, 1, 64},
        // One for each 64 bytes begun: 1000 are 15.6 frames.
        {std::string(1000, '*') + good, 1, 16, 1000},
        {std::string(1000, '\0') + good, 1, 16, 1000},
        {std::string(1000, '\r'), 0, 16, 1000},
    };
    for (const auto& c : cases) {
        const auto found = read_every_way(c.stream);
        CHECK_MESSAGE(found.frames.size() == c.frames, c.stream);
        CHECK_MESSAGE(found.errors == c.errors, c.stream);
        CHECK_MESSAGE(found.skipped == c.skipped, c.stream);
    }
}

TEST_CASE(
    "frame: frames that are broken one after the other are counted one by one, give or take their size") {
    std::string no_end, too_long;
    for (unsigned i = 0; i < 64; ++i) {
        no_end += good.substr(0, 62) + "  ";
        too_long += good + "x";
    }
    CHECK(read_every_way(no_end).errors == 64);
    const auto resynchronised = read_every_way(too_long); // each but for one byte is good
    CHECK(resynchronised.frames.size() == 64);
    CHECK(resynchronised.errors == 64);
}

TEST_CASE("frame: clear forgets a partial frame but no count") {
    FrameReader reader;
    CHECK(reader.next(as_bytes("xx" + good + good.substr(0, 30))).frame != nullptr);
    reader.clear();
    CHECK(reader.next(as_bytes(good)).frame != nullptr);
    CHECK(reader.frames() == 2);
    CHECK(reader.framing_errors() == 1);
    CHECK(reader.skipped_bytes() == 2);
}

TEST_CASE("frame: after any garbage, at most one good frame is lost") {
    // A frame's worth of garbage can begin with "* " and swallow what follows until 64 bytes are there; it is
    // then looked through again, so nothing is lost unless the garbage itself ends in CR LF at the right
    // place.
    std::mt19937 random(20090609);
    for (int round = 0; round < 2000; ++round) {
        std::string garbage(random() % 300, '\0');
        for (char& c : garbage)
            c = "* \r\nEK!>A="[random() % 10];
        const auto found = read_frames(garbage + good + other, 1 + random() % 100);
        REQUIRE(!found.frames.empty());
        CHECK(found.frames.back() == frame_from(other));
    }
}
