#include "ekeyd/listeners/unsent.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace ekey;

TEST_CASE("unsent: what is kept comes back whole, in pieces of any size, and is erased") {
    Unsent unsent;
    const std::string text = "the rest of an answer";
    const auto slot = unsent.keep(as_bytes(text));
    REQUIRE(slot);
    CHECK(unsent.in_use() == 1);
    const Byte* memory = unsent.held(*slot).data();
    CHECK(as_text(unsent.held(*slot)) == text);
    CHECK_FALSE(unsent.consume(*slot, 0));
    CHECK_FALSE(unsent.consume(*slot, 4));
    CHECK(as_text(unsent.held(*slot)) == text.substr(4));
    CHECK(as_text({memory, 4}) == std::string(4, '\0'));
    CHECK(unsent.consume(*slot, text.size() - 4));
    CHECK(unsent.in_use() == 0);
    CHECK(as_text({memory, text.size()}) == std::string(text.size(), '\0'));
}

TEST_CASE("unsent: slots are bounded, and given back") {
    Unsent unsent;
    std::vector<Unsent::Slot> slots;
    for (std::size_t i = 0; i < Unsent::max_slots; ++i) {
        const auto slot = unsent.keep(std::vector<Byte>(1 + i * 4, static_cast<Byte>(i)));
        REQUIRE(slot);
        slots.push_back(*slot);
    }
    const Byte one[1] = {};
    CHECK_FALSE(unsent.keep(one));
    for (std::size_t i = 0; i < slots.size(); ++i) {
        const ByteView held = unsent.held(slots[i]);
        REQUIRE(held.size() == 1 + i * 4);
        REQUIRE(held.front() == static_cast<Byte>(i));
        REQUIRE(held.back() == static_cast<Byte>(i));
    }
    unsent.drop(slots[100]);
    CHECK(unsent.in_use() == Unsent::max_slots - 1);
    CHECK(unsent.keep(one) == slots[100]);
    CHECK_FALSE(unsent.keep(one));
}
