#include <doctest/doctest.h>

#include "protocol/entropykey/base64.h"
#include "tests/support/vectors.h"

using namespace ekey;
using namespace ekey::entropykey;

namespace {

std::optional<std::string> decoded(std::string_view text, std::size_t room = 64) {
    std::array<Byte, 64> out;
    const auto size = base64::decode(as_bytes(text), std::span(out).first(room));
    if (!size)
        return std::nullopt;
    return std::string(as_text(std::span(out).first(*size)));
}

std::string encoded(std::string_view bytes) {
    std::string text(base64::encoded_size(bytes.size()), '?');
    CHECK(base64::encode(as_bytes(bytes), {reinterpret_cast<Byte*>(text.data()), text.size()}) ==
          text.size());
    return text;
}

} // namespace

TEST_CASE("base64: RFC 4648, section 10, both ways") {
    const std::array<std::array<const char*, 2>, 7> vectors{{{"", ""},
                                                             {"f", "Zg=="},
                                                             {"fo", "Zm8="},
                                                             {"foo", "Zm9v"},
                                                             {"foob", "Zm9vYg=="},
                                                             {"fooba", "Zm9vYmE="},
                                                             {"foobar", "Zm9vYmFy"}}};
    for (const auto& [plain, text] : vectors) {
        CHECK(encoded(plain) == text);
        CHECK(decoded(text) == plain);
    }
}

TEST_CASE("base64: anything else is refused") {
    for (const char* bad : {"A", "AA", "AAA", "AAAAA", "=AAA", "A===", "====", "AA=A", "A=AA", "AA==AAAA",
                            "AAA=AAAA", "AA A", "AA-_", "AA\nA",
                            "A\x80"
                            "AA",
                            "AB==", "AAB=", "\xff\xff\xff\xff"})
        CHECK_MESSAGE(!decoded(bad), bad);
    CHECK(decoded("AAAA", 3));
    CHECK_FALSE(decoded("AAAA", 2));
    CHECK(decoded("AA==", 1));
    CHECK_FALSE(decoded("AA==", 0));
}
