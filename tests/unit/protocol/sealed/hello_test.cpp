#include <doctest/doctest.h>

#include "protocol/sealed/hello.h"
#include "tests/unit/protocol/sealed/parts.h"

using namespace ekey;
using namespace ekey::test;
using sealed::Fault, sealed::Hello;

namespace {

sealed::PublicKey key(Byte fill) {
    sealed::PublicKey key;
    key.fill(fill);
    return key;
}

Hello from(std::initializer_list<Byte> path, Byte hop_limit = Hello::default_hop_limit) {
    Hello hello;
    hello.hop_limit = hop_limit;
    for (const Byte each : path)
        hello.path.push_back(key(each));
    return hello;
}

Bytes encode(const Hello& hello) {
    Bytes out(Hello::max_size);
    out.resize(encode_hello(hello, out));
    return out;
}

} // namespace

TEST_CASE("a hello is laid out as the README of sealed links says") {
    Hello hello = from({0xaa, 0xbb}, 6);
    hello.credit = 4;
    Bytes expected = {1, 6, 4, 2};
    expected.insert(expected.end(), 32, 0xaa);
    expected.insert(expected.end(), 32, 0xbb);
    CHECK(encode(hello) == expected);
    CHECK(sealed::decode_hello(expected) == hello);
}

TEST_CASE("an empty hello is that of a node that is no relay") {
    CHECK(sealed::decode_hello({}) == Hello{});
}

TEST_CASE("a later version's hello may say more") {
    Bytes later = encode(from({7}));
    later[0] = 2;
    later.insert(later.end(), {1, 2, 3});
    const auto hello = sealed::decode_hello(later);
    REQUIRE(hello);
    CHECK(hello->version == 2);
    CHECK(hello->path == from({7}).path);
}

TEST_CASE("a malformed hello is refused") {
    const Bytes good = encode(from({7, 8}));
    for (std::size_t size = 1; size < good.size(); ++size)
        CHECK_FALSE(sealed::decode_hello(ByteView(good).first(size)));
    Bytes version_zero = good, credit = good;
    version_zero[0] = 0;
    credit[2] = 9;
    CHECK_FALSE(sealed::decode_hello(version_zero));
    CHECK_FALSE(sealed::decode_hello(credit));
    Bytes longest = {1, 8, 0xff, 32}, longer = {1, 8, 0xff, 33};
    longest.resize(4 + 32 * 32);
    longer.resize(4 + 33 * 32);
    CHECK(sealed::decode_hello(longest));
    CHECK_FALSE(sealed::decode_hello(longer));
}

TEST_CASE("a node offers its own key, then those of all its upstreams, each once") {
    const Hello left = from({1, 3}), right = from({2, 3, 4});
    const Hello* const upstreams[] = {&left, &right};
    CHECK(sealed::offer(key(9), 8, upstreams)->path == from({9, 1, 3, 2, 4}).path);
    CHECK(sealed::offer(key(9), 8, {})->path == from({9}).path);
}

TEST_CASE("each link takes one from the hop limit, and the node's own limit holds too") {
    const Hello near = from({1}, 8), far = from({2}, 3), spent = from({3}, 0);
    const auto limit = [](Byte own, std::initializer_list<const Hello*> upstreams) {
        return int{sealed::offer(key(9), own, {upstreams.begin(), upstreams.size()})->hop_limit};
    };
    CHECK(limit(8, {}) == 8);
    CHECK(limit(8, {&near}) == 7);
    CHECK(limit(8, {&near, &far}) == 2);
    CHECK(limit(1, {&near, &far}) == 1);
    CHECK(limit(8, {&spent}) == 0);
}

TEST_CASE("a path has at most as many keys as a message takes") {
    Hello upstream;
    for (Byte i = 0; i < 31; ++i)
        upstream.path.push_back(key(i));
    const Hello* const upstreams[] = {&upstream};
    CHECK(sealed::offer(key(100), 8, upstreams));
    upstream.path.push_back(key(31));
    CHECK_FALSE(sealed::offer(key(100), 8, upstreams));
}

TEST_CASE("noise that has been here, or has come too far, is refused") {
    CHECK(sealed::judge(from({1, 2}), key(9)) == Fault::none);
    CHECK(sealed::judge(from({1, 9}), key(9)) == Fault::looped);
    CHECK(sealed::judge(from({9}), key(9)) == Fault::looped);
    CHECK(sealed::judge(from({1, 2}, 1), key(9)) == Fault::none);
    CHECK(sealed::judge(from({1, 2}, 0), key(9)) == Fault::too_far);
}
