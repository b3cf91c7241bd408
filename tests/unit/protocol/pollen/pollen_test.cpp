#include "protocol/pollen/pollen.h"

#include <doctest/doctest.h>

using namespace ekey;
using namespace std::string_literals;
using pollen::find_challenge;

TEST_CASE("pollen: the first challenge of a form is found and decoded") {
    CHECK(find_challenge("challenge=abc") == "abc");
    CHECK(find_challenge("x=1&challenge=abc&challenge=def") == "abc");
    CHECK(find_challenge("&&a&b=&challenge=abc&") == "abc");
    CHECK(find_challenge("challenge=a=b") == "a=b");
    CHECK(find_challenge("chall%65nge=abc") == "abc");
    // URL Standard, 5.1: + is a space, and a byte may be any byte.
    CHECK(find_challenge("challenge=a%62c+d%2b%2B%26") == "abc d++&");
    CHECK(find_challenge("challenge=a%00%ff") == "a\0\xff"s);
    CHECK(find_challenge("challenge=\x80\r\n") == "\x80\r\n");
}

TEST_CASE("pollen: a form without a challenge has none") {
    for (const char* form : {"", "&", "=", "challenge", "challenge=", "challenge=&challenge=x", "CHALLENGE=x",
                             "challenges=x", "x=challenge=y", " challenge=x", "challenge%=x", "challenge=%",
                             "challenge=%a", "challenge=%zz", "challenge=%0g", "challenge=% 1"}) {
        CHECK_MESSAGE(find_challenge(form) == std::nullopt, form);
    }
    CHECK(find_challenge("challenge=%zz&challenge=x") == "x");
    CHECK(find_challenge("\0challenge=x"s) == std::nullopt);
}

TEST_CASE("pollen: a form is told by its Content-Type") {
    for (const char* type : {"application/x-www-form-urlencoded", "Application/X-WWW-Form-URLEncoded",
                             "application/x-www-form-urlencoded;charset=utf-8",
                             "application/x-www-form-urlencoded ; charset=utf-8"}) {
        CHECK_MESSAGE(pollen::is_form(type), type);
    }
    for (const char* type : {"", ";", "application/json", "application/x-www-form-urlencoded2",
                             "application/x-www-form-urlencode", "multipart/form-data; boundary=B",
                             "x;application/x-www-form-urlencoded"}) {
        CHECK_MESSAGE(!pollen::is_form(type), type);
    }
}

TEST_CASE("pollen: an answer is the challenge's SHA-512 and the seed, a line each") {
    // SHA-512 of "abc": FIPS 180-2, appendix C.1.
    const std::string abc = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    std::array<Byte, pollen::seed_size> seed{};
    std::string seed_hex;
    for (std::size_t i = 0; i < seed.size(); ++i) {
        seed[i] = static_cast<Byte>(i * 5);
        char two[3];
        std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(seed[i]));
        seed_hex += two;
    }
    std::array<char, pollen::answer_size> out;
    pollen::write_answer("abc", seed, out);
    CHECK(std::string(out.begin(), out.end()) == abc + '\n' + seed_hex + '\n');
}
