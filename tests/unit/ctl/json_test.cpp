// JSON after RFC 8259 and UTF-8 after RFC 3629; what the real daemon's answers become is read by Python's
// json in tests/system/control.py.
#include <doctest/doctest.h>

#include "ekeyd/ctl/json.h"
#include "ekeyd/ctl/text.h"

using namespace ekey::ctl;

TEST_CASE("json: numbers are numbers, no numbers are null, all else is text") {
    for (const char* number :
         {"0", "-1", "10", "26.85", "-0.5", "1e9", "1.5E-7", "1e+30", "18446744073709551615"}) {
        CHECK(json_value("BytesRead", number) == number);
    }
    for (const char* none : {"nan", "-nan", "inf", "-inf"}) {
        CHECK(json_value("KeyVoltage", none) == "null");
    }
    for (const std::string text :
         {"", "-", "01", "1.", ".5", "+1", "1e", "1e+", "0x10", "1 ", "1,5", "Infinity", "1.2.3", "--1"}) {
        CAPTURE(text);
        CHECK(json_value("BytesRead", text) == '"' + text + '"');
    }
    CHECK(json_value("SerialNo", "12345678") == "\"12345678\"");
    CHECK(json_value("KeyRawBadness", "0") == "\"0\"");
    CHECK(json_value("Path", "nan") == "\"nan\"");
}

TEST_CASE("json: strings are escaped, and are UTF-8") {
    CHECK(json_string("a\"b\\c/d") == "\"a\\\"b\\\\c/d\"");
    CHECK(json_string(std::string_view("\0\x1f\x7f\n", 4)) == "\"\\u0000\\u001f\\u007f\\u000a\"");
    CHECK(json_string("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91") ==
          "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91\"");
    CHECK(json_string("\xc2\x9b") == "\"\\u009b\"");
    const std::string u = "\xef\xbf\xbd";
    CHECK(json_string("\xff"
                      "a\xc3") == '"' + u + "a" + u + '"');
    CHECK(json_string("\xc0\xaf") == '"' + u + u + '"');                 // not the shortest form
    CHECK(json_string("\xed\xa0\x80") == '"' + u + u + u + '"');         // a surrogate
    CHECK(json_string("\xf4\x90\x80\x80") == '"' + u + u + u + u + '"'); // above U+10FFFF
}

TEST_CASE("json: lists, statistics and health") {
    CHECK(json_list({"NR\tOK\tStatus\tPath\tSerialNo"}) == "[]");
    CHECK(
        json_list(
            {"NR\tOK\tStatus\tPath\tSerialNo", "1\tYES\tRunning OK\t/dev/a\tS1", "2\tNO\tUnknown\t/dev/b"}) ==
        "[\n  {\"NR\": 1, \"OK\": true, \"Status\": \"Running OK\", \"Path\": \"/dev/a\", \"SerialNo\": "
        "\"S1\"},\n"
        "  {\"NR\": 2, \"OK\": false, \"Status\": \"Unknown\", \"Path\": \"/dev/b\", \"SerialNo\": null}\n]");
    CHECK(json_list({"", ""}).find("\"NR\": \"\"") != std::string::npos); // what is no row of ekeyd's
    CHECK(json_object({}) == "{}");
    CHECK(json_object({"A=1", "B=x=y", "C"}) == "{\n  \"A\": 1,\n  \"B\": \"x=y\",\n  \"C\": \"\"\n}");
    CHECK(json_health({"PoolBytes=3", "Source=1", "State=healthy", "Source=2", "State=failed"}) ==
          "{\n  \"PoolBytes\": 3,\n  \"Sources\": [\n    {\n      \"Source\": 1,\n      \"State\": "
          "\"healthy\"\n    },\n"
          "    {\n      \"Source\": 2,\n      \"State\": \"failed\"\n    }\n  ]\n}");
    CHECK(json_health({"PoolBytes=3"}) == "{\n  \"PoolBytes\": 3,\n  \"Sources\": []\n}");
    CHECK(json_health({}) == "{\n  \"Sources\": []\n}");
}

TEST_CASE("text: nothing in it moves a terminal's cursor") {
    CHECK(clean("a\tb gr\xc3\xbc\xc3\x9f") == "a\tb gr\xc3\xbc\xc3\x9f");
    CHECK(clean("\x1b[2J\x07\r\n\x7f") == "\\x1b[2J\\x07\\x0d\\x0a\\x7f");
    CHECK(clean("\xc2\x9b"
                "2J \x9b"
                "2J") == "\\xc2\\x9b2J \\x9b2J"); // CSI in one byte, and as UTF-8
    CHECK(clean_ascii("a\tb \xc3\xbc\x1b") == "a\\x09b \\xc3\\xbc\\x1b");
}
