#include "egd-push/quorum.h"

#include <doctest/doctest.h>

using namespace ekey;
using namespace std::chrono_literals;

namespace {
constexpr Time start{};
constexpr sealed::PublicKey a{1}, b{2}, c{3};
} // namespace

TEST_CASE("quorum: without one, everything has its own credit") {
    Quorum quorum(0, 60s);
    CHECK(quorum.credit(nullptr, 256, start) == 256);
    CHECK(quorum.credit(&a, 128, start) == 128);
}

TEST_CASE("quorum: one server alone is never credited, however often it gives; nor is what is not sealed") {
    Quorum quorum(2, 60s);
    for (int i = 0; i < 10; ++i) {
        CHECK(quorum.credit(&a, 256, start + i * 10s) == 0);
        CHECK(quorum.credit(nullptr, 256, start + i * 10s) == 0);
    }
    CHECK(quorum.credit(&b, 256, start + 95s) == 256);
}

TEST_CASE("quorum: each contribution stands for one credit") {
    Quorum quorum(2, 60s);
    CHECK(quorum.credit(&a, 256, start) == 0);
    CHECK(quorum.credit(&b, 256, start) == 256);
    CHECK(quorum.credit(&b, 256, start + 1s) == 0);
    CHECK(quorum.credit(&b, 256, start + 2s) == 0);
    CHECK(quorum.credit(&c, 256, start + 3s) == 256);
    CHECK(quorum.credit(&a, 256, start + 4s) == 0);
}

TEST_CASE("quorum: is credited with the least that any of its servers is worth; one worth nothing is none") {
    Quorum quorum(3, 60s);
    CHECK(quorum.credit(&a, 512, start) == 0);
    CHECK(quorum.credit(&b, 0, start) == 0);
    CHECK(quorum.credit(&c, 100, start) == 0);
    CHECK(quorum.credit(&b, 512, start) == 100);
}

TEST_CASE("quorum: what came more than a round ago does not count any more") {
    Quorum quorum(2, 60s);
    CHECK(quorum.credit(&a, 256, start) == 0);
    CHECK(quorum.credit(&b, 256, start + 61s) == 0);
    CHECK(quorum.credit(&a, 256, start + 121s) == 256);
    Quorum one(1, 60s);
    CHECK(one.credit(nullptr, 256, start) == 0);
    CHECK(one.credit(&a, 256, start) == 256);
}
