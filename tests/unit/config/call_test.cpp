// The forms and the meanings are those of Lua 5.1 (its manual, 2.1 and 2.5.8), as ekeyd 1.1.5 takes them.
#include <doctest/doctest.h>

#include <string>

#include "ekeyd/config/call.h"

using namespace ekey::config;
using Type = Argument::Type;

namespace {

// Name|type:text|... ; empty when there was no call; "!" and the sentence for an error.
std::string shown(std::string_view text) {
    const auto call = parse_call(text);
    if (!call) {
        return '!' + call.error().what;
    }
    if (!*call) {
        return "";
    }
    std::string out = (*call)->name;
    for (const Argument& argument : (*call)->arguments) {
        out += '|';
        out += "ntfb"[static_cast<int>(argument.type)]; // nil, text, a Figure, boolean
        out += ':' + argument.text;
    }
    return out;
}

} // namespace

TEST_CASE("call: the forms that clients write") {
    CHECK(shown("ListEntropyKeys") == "ListEntropyKeys");
    CHECK(shown("ListEntropyKeys()") == "ListEntropyKeys");
    CHECK(shown("  ListEntropyKeys ( ) \r") == "ListEntropyKeys");
    CHECK(shown("ListEntropyKeys;") == "ListEntropyKeys");
    CHECK(shown("ListEntropyKeys -- x") == "ListEntropyKeys");
    CHECK(shown(R"(StatEntropyKey "NwBvBlg3OTBJORFD")") == "StatEntropyKey|t:NwBvBlg3OTBJORFD");
    CHECK(shown(R"(StatEntropyKey"1")") == "StatEntropyKey|t:1");
    CHECK(shown("StatEntropyKey(1)") == "StatEntropyKey|f:1");
    CHECK(shown(R"(AddEntropyKey("/dev/ttyACM0",nil))") == "AddEntropyKey|t:/dev/ttyACM0");
    CHECK(shown(R"(AddEntropyKey ( '/dev/a' , "b" ))") == "AddEntropyKey|t:/dev/a|t:b");
    CHECK(shown(R"(EGDUnixSocket("/e", "0660", "", "entropy"))") == "EGDUnixSocket|t:/e|t:0660|t:|t:entropy");
    CHECK(shown("A(nil,\"b\")") == "A|n:|t:b");
    CHECK(shown("Daemonise(false)") == "Daemonise|b:false");
    CHECK(shown("N(-1.5, 0)") == "N|f:-1.5|f:0");
    CHECK(shown("Keyring[[/etc/\"k\"]]") == "Keyring|t:/etc/\"k\"");
    CHECK(shown("Keyring [=[a]]b]=]") == "Keyring|t:a]]b");
}

TEST_CASE("call: nothing to do") {
    CHECK(shown("") == "");
    CHECK(shown(" \t\r\n") == "");
    CHECK(shown("-- a comment") == "");
    CHECK(shown("--[[ a\nlong ]] ;") == "");
}

TEST_CASE("call: escapes, those of Lua's %q among them") {
    CHECK(shown(R"(A "\"\\\'")") == R"(A|t:"\')");
    CHECK(shown("A \"a\\\nb\"") == "A|t:a\nb");
    CHECK(shown(R"(A "\a\b\f\n\r\t\v")") == "A|t:\a\b\f\n\r\t\v");
    CHECK(shown(R"(A "\65\0661")") == "A|t:AB1");
    CHECK(shown(R"(A "x\0y")") == std::string("A|t:x\0y", 7));
    CHECK(shown(R"(A "\000")") == std::string("A|t:\0", 5));
    CHECK(shown(R"(A "\256")") == "!a string holds an escape above \\255");
    CHECK(shown(R"(A "\q")") == "!a string holds an unknown escape");
}

TEST_CASE("call: what is no call") {
    CHECK(shown("Nope(").starts_with("!a value is missing"));
    CHECK(shown("Nope(\"a\"").starts_with("!a bracket is not closed"));
    CHECK(shown("Nope(\"a\" \"b\")").starts_with("!expected , or )"));
    CHECK(shown("Nope(\"a\",)").starts_with("!a value must be"));
    CHECK(shown("Nope \"abc").starts_with("!a string is not closed"));
    CHECK(shown("Nope \"abc\\").starts_with("!a string is not closed"));
    CHECK(shown("Nope \"a\nb\"").starts_with("!a string is not closed"));
    CHECK(shown("Nope [[abc").starts_with("!a long bracket is not closed"));
    CHECK(shown("--[[ abc").starts_with("!a long bracket is not closed"));
    CHECK(shown("Nope([").starts_with("!a value must be"));
    CHECK(shown("\"x\"").starts_with("!expected a call"));
    CHECK(shown("1+1").starts_with("!expected a call"));
    CHECK(shown("(A)").starts_with("!expected a call"));
    CHECK(shown("A B").starts_with("!one call a line"));
    CHECK(shown("A + 1").starts_with("!one call a line"));
    CHECK(shown("A \"x\" \"y\"").starts_with("!one call a line"));
    CHECK(shown("A;A") == "!one call a line: something follows A");
    CHECK(shown("A(B)").starts_with("!a value must be"));
    CHECK(shown("A(1.2.3)").starts_with("!a value must be"));
    CHECK(shown("A(0x)").starts_with("!a value must be"));
    CHECK(shown("A(0xg)").starts_with("!a value must be"));
    CHECK(shown("A(infinity)").starts_with("!a value must be"));
    CHECK(shown("A(1e+3)") == shown("A(1000)"));
    CHECK(shown("A(55555555555555555555555555555)") == shown("A(5.5555555555556e+28)"));
    CHECK(shown("A(1+3)").starts_with("!"));
    CHECK(shown("A(0x10, 8888.0, 1e3, .5, -2)") ==
          "A|f:16|f:8888|f:1000|f:0.5|f:-2"); // as Lua 5.1 writes them
    CHECK(shown("A(-)").starts_with("!a value must be"));
    CHECK(shown("A(1,2,3,4,5,6,7,8)") == "A|f:1|f:2|f:3|f:4|f:5|f:6|f:7|f:8");
    CHECK(shown("A(1,2,3,4,5,6,7,8,9)") == "!A has too many arguments");
    CHECK(shown(std::string_view("A\0", 2)).starts_with("!one call a line"));
}

TEST_CASE("call: several, with their lines") {
    CallReader reader("-- one\nA \"x\"\n\nB(\n  1\n) C\n");
    CHECK((*reader.next())->line == 2);
    CHECK((*reader.next())->line == 4);
    const auto third = reader.next();
    CHECK((*third)->name == "C");
    CHECK((*third)->line == 6);
    CHECK_FALSE(reader.next()->has_value());
}

TEST_CASE("call: what is quoted reads as itself, on one line") {
    std::string all;
    for (int c = 0; c < 256; ++c) {
        all += static_cast<char>(c);
        all += '7'; // a digit after each, so that a short escape would swallow it
    }
    const std::string quoted = quote_for_call(all);
    CHECK(quoted.find('\n') == std::string::npos);
    const auto call = parse_call("A(" + quoted + ")");
    REQUIRE(call.has_value());
    CHECK((*call)->arguments.at(0).text == all);
}
