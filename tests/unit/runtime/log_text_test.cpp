#include <doctest/doctest.h>

#include <string>

#include "ekeyd/runtime/log_text.h"

using namespace ekey;

namespace {

std::string escaped(std::string_view text) {
    std::string line;
    log::append_escaped(line, text);
    return line;
}

std::string for_a_person(std::string_view text) {
    std::string line;
    log::append_escaped(line, text, log::Quotes::kept);
    return line;
}

} // namespace

TEST_CASE("text that a reader sees as it is stays") {
    CHECK(escaped("a b/c") == "a b/c");
    // UTF-8 of each length: U+00E9, U+2192, U+1F511
    CHECK(escaped("caf\xc3\xa9 \xe2\x86\x92 \xf0\x9f\x94\x91") ==
          "caf\xc3\xa9 \xe2\x86\x92 \xf0\x9f\x94\x91");
}

TEST_CASE("promise 5: what moves, hides or turns text on a terminal is written in hexadecimal") {
    CHECK(escaped(std::string_view("\0\n\x1b[31m\x7f", 8)) == "\\x00\\x0a\\x1b[31m\\x7f");
    CHECK(escaped("\xc2\x9b"
                  "31m") == "\\xc2\\x9b31m"); // U+009B, CSI of eight bits (ECMA-48)
    CHECK(escaped("\xe2\x80\xae"
                  "cod.exe") == "\\xe2\\x80\\xaecod.exe");        // U+202E, right-to-left override
    CHECK(escaped("\xe2\x81\xa6") == "\\xe2\\x81\\xa6");          // U+2066, left-to-right isolate
    CHECK(escaped("\xd8\x9c") == "\\xd8\\x9c");                   // U+061C, Arabic letter mark
    CHECK(escaped("\xe2\x80\xa8") == "\\xe2\\x80\\xa8");          // U+2028, line separator
    CHECK(escaped("\xf3\xa0\x81\x81") == "\\xf3\\xa0\\x81\\x81"); // U+E0041, a tag
}

// The Unicode Standard 15, table 3-7 and the examples after it.
TEST_CASE("promise 5: what is no UTF-8 is written in hexadecimal, byte by byte") {
    CHECK(escaped("\xff\xfe") == "\\xff\\xfe");
    CHECK(escaped("a\x80z") == "a\\x80z");               // a byte that begins nothing
    CHECK(escaped("\xc0\xaf") == "\\xc0\\xaf");          // / in two bytes
    CHECK(escaped("\xe0\x80\xaf") == "\\xe0\\x80\\xaf"); // and in three
    CHECK(escaped("\xf0\x80\x80\xaf") == "\\xf0\\x80\\x80\\xaf");
    CHECK(escaped("\xed\xa0\x80") == "\\xed\\xa0\\x80");          // a surrogate
    CHECK(escaped("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80"); // above U+10FFFF
    CHECK(escaped("\xe2\x86") == "\\xe2\\x86");                   // cut off
    CHECK(escaped("\xe2\x86z") == "\\xe2\\x86z");                 // what follows stays
    CHECK(escaped("\xc3\n") == "\\xc3\\x0a");
}

TEST_CASE("a field's quotes and backslashes are escaped, a person's are not") {
    CHECK(escaped("\"a\\b\"") == "\\\"a\\\\b\\\"");
    CHECK(for_a_person("F:1: unknown option \"x\"\n\xff") == "F:1: unknown option \"x\"\\x0a\\xff");
}

TEST_CASE("a value stands bare when nothing in it parts fields") {
    CHECK(log::is_plain("/dev/ttyACM0"));
    CHECK(log::is_plain("[::1]:8888"));
    for (const char* text : {"", "a b", "a=b", "AAA=", "\"", "a\\b", "\t", "\x7f", "caf\xc3\xa9", "\xff"}) {
        CAPTURE(text);
        CHECK_FALSE(log::is_plain(text));
    }
}
