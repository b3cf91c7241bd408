#include <doctest/doctest.h>

#include "tests/support/entropy_key_vectors.h"
#include "tests/support/session_harness.h"

using namespace ekey;
using namespace ekey::entropykey;
using namespace ekey::test;

namespace {

// Gives out the vector's host nonce, then zeros.
std::vector<Byte> nonce_stream;
void vector_random(ByteSpan out) {
    for (Byte& byte : out) {
        byte = nonce_stream.empty() ? Byte{0} : nonce_stream.front();
        if (!nonce_stream.empty())
            nonce_stream.erase(nonce_stream.begin());
    }
}

void replay(const Vectors& vector, std::size_t piece, const std::string& tail) {
    nonce_stream = hex_at(vector, "host_nonce");
    SessionHarness host(vector_random);
    host.key = parse_long_term_key(vector.get<std::string>("long_term_key_base64")).value();
    host.start();
    CHECK(host.output() == "\x03");
    host.feed(vector.get<std::string>("serial_frame") + vector.get<std::string>("rekey_request_frame"),
              piece);
    CHECK(host.session.serial() == serial_at(vector));
    CHECK(host.output() == vector.get<std::string>("host_command"));
    host.feed(vector.get<std::string>("session_key_frame"), piece);
    CHECK(host.session.state() == State::confirming);

    std::vector<std::vector<Byte>> expected;
    std::string stream;
    for (const auto& [_, item] : vector.get_child("entropy")) {
        stream += item.get<std::string>("frame");
        expected.push_back(hex_at(item, "plaintext"));
    }
    host.feed(vector.get<std::string>("info_frame") + stream + tail, piece);
    CHECK(host.plaintexts == expected);
    CHECK(host.infos == 1);
    CHECK(host.session.info().temperature == 3143);
    CHECK(host.session.state() == State::rekeying); // the vectors end with sequence number 4095
    CHECK(host.session.counters().replayed == 0);
    CHECK(host.session.counters().packet_errors == 0);
    CHECK(host.session.counters().framing_errors == 0);
    CHECK(host.session.counters().missed == 4096 - expected.size());
    CHECK(host.session.counters().entropy_bytes == 32 * expected.size());
    CHECK(host.states == std::vector{State::resetting, State::awaiting_key, State::rekeying,
                                     State::confirming, State::running, State::rekeying});
}

} // namespace

TEST_CASE("session: the vectors, whole, byte by byte, and with a tail") {
    for (const auto& [_, vector] : entropy_key_sessions()) {
        replay(vector, 100000, "");
        replay(vector, 1, "");
        replay(vector, 100000, "* E!");
        replay(vector, 61, "* E!AA");
    }
}

TEST_CASE("session: entropy sent again is refused and counted, in every order") {
    for (const auto& [_, vector] : entropy_key_sessions()) {
        nonce_stream = hex_at(vector, "host_nonce");
        SessionHarness host(vector_random);
        host.key = parse_long_term_key(vector.get<std::string>("long_term_key_base64")).value();
        host.start();
        host.feed(vector.get<std::string>("serial_frame") + vector.get<std::string>("session_key_frame"));
        std::vector<std::string> frames;
        for (const auto& [index, item] : vector.get_child("entropy"))
            frames.push_back(item.get<std::string>("frame"));
        host.feed(frames[1]);
        host.feed(frames[1] + frames[0]);
        CHECK(host.plaintexts.size() == 1);
        CHECK(host.session.counters().replayed == 2);
        CHECK(host.session.state() == State::running);
        host.feed(frames[2] + frames[2] + frames[0]);
        CHECK(host.plaintexts.size() == 2);
        CHECK(host.session.counters().replayed == 4);
        CHECK(host.session.counters().missed == 1);
    }
}
