#include <doctest/doctest.h>

#include "protocol/skein256.h"
#include "tests/support/vectors.h"

using namespace ekey;
using namespace ekey::test;

namespace {

// The same message in one piece, byte by byte, and cut in two at every place.
template <class Finish>
void feed_in_pieces(const Skein256& fresh, const std::vector<Byte>& message,
                    const std::vector<Byte>& expected, Finish finish) {
    Skein256 whole = fresh;
    whole.update(message);
    CHECK(to_vector(finish(whole)) == expected);

    Skein256 by_byte = fresh;
    for (const Byte& byte : message)
        by_byte.update({&byte, 1});
    CHECK(to_vector(finish(by_byte)) == expected);

    for (std::size_t cut = 0; cut <= message.size(); ++cut) {
        Skein256 halves = fresh;
        halves.update(ByteView(message).first(cut));
        halves.update(ByteView(message).subspan(cut));
        CHECK(to_vector(finish(halves)) == expected);
    }
}

constexpr auto final = [](Skein256& state) { return state.finish(); };
constexpr auto final_pad = [](Skein256& state) { return state.finish_pad(); };

} // namespace

TEST_CASE("skein256: unkeyed vectors, with and without the output transform") {
    int count = 0;
    const Vectors vectors = load_vectors("entropy_key_v0.json").get_child("skein_256_256");
    for (const auto& [_, vector] : vectors) {
        const auto message = hex_at(vector, "message");
        feed_in_pieces(Skein256(), message, hex_at(vector, "final"), final);
        feed_in_pieces(Skein256(), message, hex_at(vector, "final_pad"), final_pad);
        ++count;
    }
    CHECK(count == 8);
}

TEST_CASE("skein256: keyed vectors") {
    int count = 0;
    const Vectors vectors = load_vectors("entropy_key_v0.json").get_child("skein_256_256_keyed");
    for (const auto& [_, vector] : vectors) {
        feed_in_pieces(Skein256(hex_at(vector, "key")), hex_at(vector, "message"), hex_at(vector, "final"),
                       final);
        ++count;
    }
    CHECK(count == 2);
}

TEST_CASE("skein256: starting a type drops what the type before held back") {
    const std::vector<Byte> block(32, 'x');
    Skein256 dropped, plain;
    dropped.start(Skein256::Type::personalisation);
    dropped.update(block); // exactly one block is held back, so nothing was processed yet
    dropped.start(Skein256::Type::message);
    CHECK(dropped.finish() == plain.finish());

    Skein256 processed, other;
    processed.start(Skein256::Type::personalisation);
    processed.update(std::vector<Byte>(33, 'x'));
    processed.start(Skein256::Type::message);
    CHECK(processed.finish() != other.finish());
}

TEST_CASE("skein256: a copied state goes on by itself") {
    Skein256 first(as_bytes("key"));
    first.update(as_bytes("the beginning, longer than one block of thirty-two bytes"));
    Skein256 second = first;
    first.update(as_bytes("x"));
    second.update(as_bytes("x"));
    const auto digest = first.finish();
    CHECK(second.finish() == digest);
}

TEST_CASE("skein256: two states together answer as each alone") {
    for (std::size_t size = 0; size <= 32; ++size) {
        const Skein256 hash(std::vector<Byte>(44, static_cast<Byte>(size)));
        const Skein256 mac(std::vector<Byte>(44, static_cast<Byte>(200 - size)));
        const std::vector<Byte> message(size, static_cast<Byte>(7 * size)), content(33 + size % 32, 'c');
        Skein256 hash_alone = hash, mac_alone = mac;
        hash_alone.update(message);
        mac_alone.update(content);
        const auto both = Skein256::finish_both(hash, message, mac, content);
        CHECK(both.hash == hash_alone.finish());
        CHECK(both.mac == mac_alone.finish_pad());
        CHECK(hash.finish_with(message) == both.hash);
        CHECK(mac.finish_pad_with(content) == both.mac);
    }
}
