#include <doctest/doctest.h>

#include "protocol/entropykey/packet.h"
#include "tests/support/entropy_key_vectors.h"

using namespace ekey;
using namespace ekey::entropykey;
using namespace ekey::test;

namespace {

FrameBytes with(FrameBytes frame, std::size_t at, std::string_view text) {
    std::copy(text.begin(), text.end(), frame.begin() + static_cast<std::ptrdiff_t>(at));
    return frame;
}

ByteView payload_of(const Packet& packet) {
    return ByteView(packet.payload.bytes).first(packet.payload.size);
}

// Decodes and encodes again: nothing of the content may be lost.
void round_trip(FrameView frame, const FrameMac& mac) {
    REQUIRE(mac.verify(frame));
    const auto packet = decode_packet(frame);
    REQUIRE(packet);
    FrameBytes built;
    if (packet->binary)
        encode_binary(built, packet->type, packet->payload.sub_code, payload_of(*packet), mac);
    else
        encode_text(built, packet->type, packet->text, mac);
    CHECK(to_vector(built) == to_vector(frame));
}

} // namespace

TEST_CASE("packet: published frames decode and encode again to the same bytes") {
    const auto published = entropy_key_vectors().get_child("published_frames");
    const FrameMac mac(serial_at(published), session_key_at(published));
    for (const auto& [_, item] : published.get_child("frames"))
        round_trip(frame_from(item.get_value<std::string>()), mac);
}

TEST_CASE("packet: every frame of the session vectors, under its key") {
    for (const auto& [_, vector] : entropy_key_sessions()) {
        const Serial serial = serial_at(vector);
        const FrameMac zero(serial, SessionKey()), mac(serial, session_key_at(vector));
        for (const char* name : {"serial_frame", "rekey_request_frame", "session_key_frame"})
            round_trip(frame_at(vector, name), zero);
        round_trip(frame_at(vector, "info_frame"), mac);
        CHECK_FALSE(zero.verify(frame_at(vector, "info_frame")));

        const auto packet = decode_packet(frame_at(vector, "serial_frame"));
        CHECK(packet->type == PacketType::serial);
        CHECK(packet->payload.sub_code == 0);
        CHECK(to_vector(payload_of(*packet)) == to_vector(serial.bytes));
    }
}

TEST_CASE("packet: session keys derive as in the vectors") {
    for (const auto& [_, vector] : entropy_key_sessions()) {
        const auto host_nonce = hex_at(vector, "host_nonce");
        CHECK(session_rekey_command(host_nonce) == vector.get<std::string>("host_command"));
        const auto packet = decode_packet(frame_at(vector, "session_key_frame")).value();
        CHECK(packet.payload.sub_code == host_nonce.size());
        const auto key = parse_long_term_key(vector.get<std::string>("long_term_key_base64")).value();
        const auto derived = derive_session_key(
            serial_at(vector), key, std::span(packet.payload.bytes).first<block_size>(), host_nonce);
        CHECK(derived == session_key_at(vector));
    }
}

TEST_CASE("packet: entropy of the vectors decrypts") {
    int count = 0;
    for (const auto& [_, vector] : entropy_key_sessions()) {
        const FrameMac mac(serial_at(vector), session_key_at(vector));
        const EntropyPad pad(serial_at(vector), session_key_at(vector));
        for (const auto& [index, item] : vector.get_child("entropy")) {
            const auto frame = frame_at(item, "frame");
            round_trip(frame, mac);
            const auto packet = decode_packet(frame).value();
            CHECK(packet.payload.sub_code == std::stoul(item.get<std::string>("sequence")));
            std::array<Byte, block_size> plain;
            pad.apply(packet.payload.sub_code, std::span(packet.payload.bytes).first<block_size>(), plain);
            CHECK(plain == array_at<block_size>(item, "plaintext"));
            pad.apply(packet.payload.sub_code, std::array<Byte, block_size>{}, plain);
            CHECK(plain == array_at<block_size>(item, "pad"));
            CHECK(pad.verify_and_make(frame, mac, plain));
            CHECK(plain == array_at<block_size>(item, "pad"));
            CHECK_FALSE(pad.verify_and_make(with(frame, 3, "x"), mac, plain));
            CHECK_FALSE(pad.verify_and_make(with(frame, 54, "    "), mac, plain));
            ++count;
        }
    }
    CHECK(count == 21);
}

TEST_CASE("packet: long-term re-key as in the vectors") {
    for (const auto& [_, vector] : entropy_key_sessions()) {
        const auto& rekey = vector.get_child("long_term_rekey");
        const Serial serial = serial_at(vector);
        const auto master = parse_master_key(rekey.get<std::string>("master_key_base64")).value();
        const auto host_nonce = hex_at(rekey, "host_nonce");
        CHECK(long_term_mac_command(long_term_nonce_mac(serial, master, host_nonce)) ==
              rekey.get<std::string>("mac_command"));
        CHECK(long_term_rekey_command(host_nonce) == rekey.get<std::string>("rekey_command"));

        const auto answer = frame_at(rekey, "answer_frame");
        round_trip(answer, FrameMac(serial, SessionKey()));
        const auto packet = decode_packet(answer).value();
        const auto key = derive_long_term_key(
            serial, master, std::span(packet.payload.bytes).first<block_size>(), host_nonce);
        CHECK(key == parse_long_term_key(rekey.get<std::string>("new_long_term_key_base64")).value());
    }
}

TEST_CASE("packet: sub-codes put the least significant six bits first") {
    CHECK(encode_sub_code(0) == std::array<Byte, 2>{'A', 'A'});
    CHECK(encode_sub_code(1) == std::array<Byte, 2>{'B', 'A'});
    CHECK(encode_sub_code(64) == std::array<Byte, 2>{'A', 'B'});
    CHECK(encode_sub_code(4095) == std::array<Byte, 2>{'/', '/'});
    for (unsigned code = 0; code <= last_sequence; ++code) {
        const auto text = encode_sub_code(static_cast<std::uint16_t>(code));
        CHECK(decode_sub_code(text[0], text[1]) == code);
    }
    CHECK_FALSE(decode_sub_code('A', '='));
    CHECK_FALSE(decode_sub_code(' ', 'A'));
}

TEST_CASE("packet: what does not have its type's shape is an error") {
    const auto text = frame_from("* k>Unable to send entropy. Please re-key session.    VqrrSb4k\r\n");
    const auto binary = frame_from("* E!UYIYK1Z/uc21bcnUi9QF37X+rgByqWP+RJdvcaSBWNBhY=    OIq9Dvd3\r\n");
    const auto serial = frame_from("* S!AANwBvBlg3OTBJORFD                                Al/Smw1b\r\n");
    REQUIRE(decode_packet(text));
    REQUIRE(decode_packet(binary));
    REQUIRE(decode_packet(serial));

    for (const FrameBytes& bad : {
             with(text, 2, "x"),
             with(text, 2, "e"),
             with(text, 2, std::string_view("\0", 1)),
             with(text, 2, "\xff"),
             with(text, 3, "!"),
             with(text, 3, " "),
             with(binary, 3, ">"),
             with(serial, 3, ">"), // encodings
             with(binary, 4, "=A"),
             with(binary, 4, "A "), // sub-code
             with(binary, 6, " "),
             with(binary, 6, "="),
             with(binary, 20, "\x80"), // foreign characters
             with(binary, 45, "    "),
             with(binary, 49, "A"),
             with(binary, 48, "=="), // lengths
             with(binary, 50, "AAAA"),
             with(binary, 53, "x"), // no padding
             with(serial, 22, "AAAA"),
             with(serial, 18, "    "),
             with(serial, 21, "="),
         })
        CHECK_MESSAGE(!decode_packet(bad), as_text(bad));
    CHECK(decode_packet(with(text, 2, "\x1b")).error().what == "unknown packet type 0x1b");
}

TEST_CASE("packet: short payloads are padded with spaces") {
    const FrameMac mac(Serial{}, SessionKey());
    FrameBytes frame;
    encode_binary(frame, PacketType::session_key, 12, as_bytes("x"), mac);
    CHECK(as_text(frame).substr(0, 54) == "* K!MAeA==" + std::string(44, ' '));
    CHECK(mac.verify(frame));
    encode_text(frame, PacketType::unexpected, "", mac);
    CHECK(as_text(frame).substr(0, 54) == "* W>" + std::string(50, ' '));
}
