// What is kept for local use.
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "client.h"

using namespace ekey;
using namespace ekey::test;

namespace {

struct Remote : Client {
    explicit Remote(std::size_t size, int rounds = 1) : Client(size, rounds) { set_local(false); }
};

bool take(Pool& pool, std::size_t size, Claim claim) {
    std::vector<Byte> out(size);
    return pool.take(out, claim);
}

} // namespace

TEST_CASE("promise 7: remote clients have what is above the reserve, local ones all") {
    Pool pool(4096);
    pool.keep_reserve(1000);
    put(pool, 600); // nobody waits: the reserve comes first
    CHECK(pool.reserved() == 600);
    CHECK(pool.spare(true) == 600);
    CHECK(pool.spare(false) == 0);
    put(pool, 900);
    CHECK(pool.reserved() == 1000);
    CHECK(pool.spare(true) == 1500);
    CHECK(pool.spare(false) == 500);
    REQUIRE(take(pool, 400, Claim::spare)); // whoever takes, the reserve is touched last
    CHECK(pool.reserved() == 1000);
    CHECK(pool.spare(false) == 100);
    REQUIRE(take(pool, 300, Claim::spare));
    CHECK(pool.reserved() == 800);
    CHECK(pool.spare(false) == 0);
    CHECK(pool.spare(true) == 800);
    CHECK(pool.size() == 800);
}

TEST_CASE("promise 7: while remote clients wait, local ones are served from the reserve at once") {
    Pool pool(4096);
    pool.keep_reserve(1000);
    put(pool, 1100);
    Remote remote(200);
    pool.turns().wait(remote);
    pool.serve();
    CHECK(remote.got_ == 0);
    CHECK(pool.spare(false) == 0);
    CHECK(pool.spare(true) == 1000);
    REQUIRE(take(pool, 255, Claim::spare)); // of the reserve: what the other waits for is left
    CHECK(pool.reserved() == 745);
    CHECK(pool.held_for(false) == 100);
    Client local(700); // and so when it comes to the queue, as a sink does
    pool.turns().wait(local);
    CHECK(pool.spare(true) == 0); // not past a local one
    pool.serve();
    CHECK(local.got_ == 700);
    CHECK(pool.reserved() == 45);
    CHECK(pool.held_for(false) == 100);
    CHECK(remote.waiting());
    put(pool, 197); // half of it for the reserve
    pool.serve();
    CHECK(pool.reserved() == 143);
    CHECK(remote.got_ == 0);
    put(pool, 2);
    pool.serve();
    CHECK(remote.got_ == 200);
    CHECK(pool.size() == 144);
    CHECK(pool.reserved() == 144);
}

TEST_CASE("promise 7: a reserve fills beside a thousand greedy remote clients, and they are served on") {
    Pool pool(65536);
    pool.keep_reserve(4096);
    std::vector<std::unique_ptr<Client>> crowd;
    for (int i = 0; i < 1000; ++i) {
        crowd.push_back(std::make_unique<Remote>(32, 1 << 30));
        pool.turns().wait(*crowd.back());
    }
    std::size_t all = 0;
    const auto run = [&](int pieces) {
        for (int i = 0; i < pieces; ++i) {
            put(pool, 64);
            pool.serve();
        }
        all = 0;
        for (const auto& client : crowd) {
            all += client->got_;
        }
    };
    run(64);
    CHECK(pool.reserved() == 2048);
    CHECK(all == 2048);
    run(64 + 10);
    CHECK(pool.reserved() == 4096);
    CHECK(all == 4096 + 640);
    CHECK(pool.size() == 4096);
}

TEST_CASE("promise 7: a local client that drinks without pause does not starve remote ones") {
    Pool pool(4096);
    pool.keep_reserve(2048);
    Client local(255, 1 << 30);
    Remote one(32, 1 << 30), two(32, 1 << 30);
    for (Client* client : {&local, static_cast<Client*>(&one), static_cast<Client*>(&two)}) {
        pool.turns().wait(*client);
    }
    for (int i = 0; i < 3000; ++i) {
        put(pool, 64);
        pool.serve();
    }
    const std::size_t all = 3000 * 64;
    CHECK(one.got_ > all / 6 - 600); // half of it is shared by three
    CHECK(two.got_ > all / 6 - 600);
    CHECK(local.got_ > all / 3 - 1200);
    CHECK(one.got_ + two.got_ + local.got_ + pool.size() == all);
}

TEST_CASE("pool: the largest reserve leaves room for the longest answer to a remote client") {
    Pool pool(576);
    pool.keep_reserve(576 - Pool::least_shared);
    Remote remote(255, 50);
    pool.turns().wait(remote);
    for (int i = 0; i < 500 && pool.room() >= 64; ++i) {
        put(pool, 64);
        pool.serve();
    }
    CHECK(remote.got_ == 50 * 255);
}
