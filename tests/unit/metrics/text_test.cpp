// Expectations: The Unicode Standard 15, table 3-7 and section 3.9, and what browsers need escaped.
#include <doctest/doctest.h>

#include "ekeyd/metrics/text.h"

using namespace ekey;

TEST_CASE("what is no UTF-8, and control characters, are replaced") {
    const std::string bad = "\xef\xbf\xbd";
    CHECK(metrics::clean("plain text~") == "plain text~");
    CHECK(metrics::clean("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91") ==
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91");
    CHECK(metrics::clean(std::string_view("a\0b\x1b\x7f\n", 6)) == "a" + bad + "b" + bad + bad + bad);
    CHECK(metrics::clean("\xc0\xaf") == bad + bad);                     // overlong
    CHECK(metrics::clean("\xed\xa0\x80") == bad + bad + bad);           // a surrogate
    CHECK(metrics::clean("\xf4\x90\x80\x80").size() == 4 * bad.size()); // above U+10FFFF
    CHECK(metrics::clean("\xe2\x82") == bad + bad);                     // cut short
    CHECK(metrics::clean("\xc2\x9b") == bad + bad);                     // a control character of Latin-1
    CHECK(metrics::clean("").empty());
}

TEST_CASE("nothing in a text is HTML") {
    CHECK(metrics::html("<script>alert('1' & \"2\")</script>") ==
          "&lt;script&gt;alert(&#39;1&#39; &amp; &quot;2&quot;)&lt;/script&gt;");
}
