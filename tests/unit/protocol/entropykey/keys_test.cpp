#include <doctest/doctest.h>

#include "protocol/entropykey/keys.h"
#include "tests/support/vectors.h"

using namespace ekey;
using namespace ekey::entropykey;
using namespace ekey::test;

namespace {

bool says(const Error& error, std::string_view words) {
    return error.what.find(words) != std::string::npos;
}

Vectors sessions() {
    return load_vectors("entropy_key_v0.json").get_child("sessions");
}

} // namespace

TEST_CASE("keys: serials in base64 and back") {
    for (const auto& [_, vector] : sessions()) {
        const auto text = vector.get<std::string>("serial_base64");
        const auto serial = parse_serial(text);
        REQUIRE(serial);
        CHECK(serial->base64() == text);
    }
    CHECK(parse_serial("AAAAAAAAAAAAAAAB")->bytes ==
          std::array<Byte, 12>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    for (const char* bad : {"", "NwBvBlg3OTBJORF", "NwBvBlg3OTBJORFDA",
                            "NwBvBlg3OTBJOR==", "NwBvBlg3OTBJORF*", "NwBv Blg3OTBJORF", "NwBvBlg3OTBJ_RFD"})
        CHECK_FALSE(parse_serial(bad));
}

TEST_CASE("keys: long-term keys in base64 and back") {
    for (const auto& [_, vector] : sessions()) {
        const auto text = vector.get<std::string>("long_term_key_base64");
        const auto key = parse_long_term_key(text);
        REQUIRE(key);
        std::array<char, 44> written;
        write_base64(*key, written);
        CHECK(std::string_view(written.data(), written.size()) == text);
    }
}

TEST_CASE("keys: what is no long-term key is refused without being quoted") {
    const std::string good = "nQGzeRGYgh907RPUi2dnHhdNtdzP4zIIq4vQ9QIUcUU=";
    REQUIRE(parse_long_term_key(good));
    for (const std::string& bad :
         {good.substr(0, 43), good + "=", std::string(), good.substr(0, 43) + "A", "*" + good.substr(1),
          good.substr(0, 42) + "==", std::string(44, ' '), std::string(44, '\0'), std::string(100000, 'A')}) {
        const auto key = parse_long_term_key(bad);
        REQUIRE_FALSE(key);
        CHECK(key.error().what.size() < 100);
        CHECK_FALSE(says(key.error(), good.substr(1, 20)));
    }
    CHECK(says(parse_long_term_key(good.substr(0, 43)).error(), "this one has 43"));
}

TEST_CASE("keys: master keys as people type them") {
    for (const auto& [_, vector] : sessions()) {
        const auto& rekey = vector.get_child("long_term_rekey");
        const auto plain = rekey.get<std::string>("master_key_base64");
        const auto checked = rekey.get<std::string>("master_key_with_check_base64");
        const auto key = parse_master_key(plain);
        REQUIRE(key);
        CHECK(check_byte(key->span()) == hex_at(rekey, "check_byte").at(0));
        CHECK(*parse_master_key(checked) == *key);

        std::string spaced = " \t";
        for (std::size_t i = 0; i < checked.size(); ++i)
            spaced += checked.substr(i, 1) + (i % 4 == 3 ? "  " : "");
        CHECK(*parse_master_key(spaced + "\r\n") == *key);
    }
}

TEST_CASE("keys: a mistyped master key is refused, and the sentence says how") {
    const std::string checked = "H/oHvJQTQWffGxUxmh6GVxIx00REq9OrfyowRB+E2rFI";
    REQUIRE(parse_master_key(checked));
    for (std::size_t i = 0; i < checked.size(); ++i) {
        std::string wrong = checked;
        wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
        const auto key = parse_master_key(wrong);
        REQUIRE_FALSE(key);
        CHECK(says(key.error(), "check byte"));
    }
    CHECK(says(parse_master_key(checked.substr(0, 40)).error(), "this one has 40"));
    CHECK(says(parse_master_key(checked + "A").error(), "this one has 45"));
    CHECK(says(parse_master_key(std::string(1000000, 'A')).error(), "this one has 1000000"));
    CHECK(says(parse_master_key("").error(), "this one has 0"));
    CHECK(says(parse_master_key("-" + checked.substr(1)).error(), "not base64"));
    CHECK(says(parse_master_key(checked.substr(0, 42) + "==").error(), "not base64 of 32"));
}

TEST_CASE("keys: a byte that is no ASCII is refused everywhere in a key") {
    for (std::size_t at = 0; at < 44; ++at) {
        for (int byte = 0x80; byte <= 0xff; ++byte) {
            std::string text(44, 'A');
            text[at] = static_cast<char>(byte);
            CAPTURE(at);
            CAPTURE(byte);
            REQUIRE(!parse_long_term_key(text));
            REQUIRE(!parse_master_key(text));
            text[43] = at == 43 ? text[43] : '=';
            REQUIRE(!parse_long_term_key(text));
            REQUIRE(!parse_master_key(text));
        }
    }
}
