#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "client.h"

using namespace ekey;
using namespace ekey::test;

namespace {

// `seconds` of a source of 3 kB/s in pieces of 64 bytes; who was served asks again before the next piece.
void run_scarce(Pool& pool, const std::vector<std::unique_ptr<Client>>& clients, int seconds) {
    for (int piece = 0; piece < seconds * 3000 / 64; ++piece) {
        for (const auto& client : clients) {
            pool.turns().wait(*client);
        }
        put(pool, 64);
        pool.serve();
    }
}

} // namespace

TEST_CASE("promise 7: requests of mixed sizes get the same bytes of a scarce pool") {
    for (const bool pipelined : {false, true}) {
        Pool pool(4096);
        std::vector<std::unique_ptr<Client>> clients;
        // Who asks for one byte at a time, and only after each answer, asks for less than a fair share here.
        const std::size_t sizes[] = {pipelined ? 1U : 8U, 16, 20, 32, 64, 128, 200, 255};
        for (std::size_t i = 0; i < 40; ++i) {
            clients.push_back(std::make_unique<Client>(sizes[i % 8], pipelined ? 1 << 30 : 1));
        }
        run_scarce(pool, clients, 60);
        CHECK(jain(clients) > 0.99);
    }
}

TEST_CASE("promise 7: 1,000 readers of a slow source") {
    Pool pool(4096);
    std::vector<std::unique_ptr<Client>> clients;
    for (std::size_t i = 0; i < 1000; ++i) {
        clients.push_back(std::make_unique<Client>(32));
    }
    run_scarce(pool, clients, 60);
    CHECK(jain(clients) > 0.99);
}

TEST_CASE("promise 7: those who come and go do not starve one who waits") {
    Pool pool(256);
    Client patient(255);
    pool.turns().wait(patient);
    int others = 0;
    while (patient.got_ == 0 && others < 100000) {
        auto fresh = std::make_unique<Client>(1); // a new one each time, always the smallest request
        pool.turns().wait(*fresh);
        put(pool, 1);
        pool.serve();
        others += fresh->got_ == 1 ? 1 : 0;
    }
    CHECK(patient.got_ == 255);
    CHECK(others <= 256); // as many bytes as it got itself
}

TEST_CASE("promise 7: who does not wait gets nothing while others do") {
    Pool pool(256);
    put(pool, 10);
    CHECK(pool.spare() == 10);
    Client waits(20);
    pool.turns().wait(waits);
    CHECK(pool.spare() == 0);
    pool.serve();
    CHECK(waits.got_ == 0);
    put(pool, 15);
    CHECK(pool.spare() == 0);
    pool.serve();
    CHECK(waits.got_ == 20);
    CHECK(pool.spare() == 5);
}

TEST_CASE("turns: equal requests are served first come, first served, and the next one is waited for") {
    Pool pool(256);
    std::vector<Client*> order;
    Client a(100), b(100), c(100), d(200);
    for (Client* client : {&a, &b, &c, &d}) {
        client->order_ = &order;
        pool.turns().wait(*client);
        pool.turns().wait(*client); // has no effect
    }
    CHECK(pool.turns().size() == 4);
    put(pool, 256);
    pool.serve();
    CHECK(order == std::vector<Client*>{&a, &b});
    put(pool, 44);
    pool.serve();
    CHECK(order == std::vector<Client*>{&a, &b, &c});
    put(pool, 199);
    pool.serve();
    CHECK(order.size() == 3);
    put(pool, 1);
    pool.serve();
    CHECK(order.back() == &d);
    CHECK(pool.turns().empty());
    pool.serve();
}

TEST_CASE("turns: one can leave from the front, the middle and the end, or by its destruction") {
    for (std::size_t gone = 0; gone < 5; ++gone) {
        Pool pool(256);
        std::vector<Client*> order;
        std::vector<std::unique_ptr<Client>> clients;
        for (int i = 0; i < 5; ++i) {
            clients.push_back(std::make_unique<Client>(10));
            clients.back()->order_ = &order;
            pool.turns().wait(*clients.back());
        }
        pool.turns().leave(*clients[gone]);
        CHECK_FALSE(clients[gone]->waiting());
        pool.turns().leave(*clients[gone]); // has no effect
        clients[(gone + 2) % 5].reset();
        CHECK(pool.turns().size() == 3);
        put(pool, 100);
        pool.serve();
        std::vector<Client*> expected;
        for (std::size_t i = 0; i < 5; ++i) {
            if (i != gone && i != (gone + 2) % 5) {
                expected.push_back(clients[i].get());
            }
        }
        CHECK(order == expected);
        CHECK(pool.size() == 70);
    }
}

TEST_CASE("turns: the queue may go before those who wait in it") {
    Client client(8), far(4000);
    {
        Turns turns;
        turns.wait(client);
        turns.wait(far);
    }
    CHECK_FALSE(client.waiting());
    CHECK_FALSE(far.waiting());
}

TEST_CASE("turns: a sink that wants much waits its bytes' time, and is then served") {
    Pool pool(8192);
    Client sink(4096), small(64, 1 << 30);
    pool.turns().wait(sink);
    pool.turns().wait(small);
    for (int i = 0; i < 64; ++i) {
        CHECK(sink.got_ == 0);
        put(pool, 64);
        pool.serve();
    }
    CHECK(small.got_ >= 4096 - 64);
    CHECK(small.got_ <= 4096 + 64);
    put(pool, 4096);
    pool.serve();
    CHECK(sink.got_ == 4096);

    Client alone(8192);
    pool.turns().leave(small);
    pool.turns().wait(alone);
    put(pool, pool.room());
    pool.serve();
    CHECK(alone.got_ == 8192);
}

TEST_CASE("turns: joining, leaving and serving at random keeps the books") {
    Pool pool(1024);
    std::mt19937 random(4);
    bool term = false;
    SUBCASE("without places kept") {}
    SUBCASE("with places kept") {
        pool.turns().keep_places([&term] { term = true; });
    }
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 50; ++i) {
        clients.push_back(std::make_unique<Client>(1 + random() % (i % 10 == 0 ? 1000 : 255)));
    }
    for (int step = 0; step < 20000; ++step) {
        Client& client = *clients[random() % clients.size()];
        if (random() % 3 != 0) {
            pool.turns().wait(client);
        } else {
            pool.turns().leave(client);
        }
        if (random() % 4 == 0) {
            put(pool, random() % (pool.room() + 1));
            pool.serve();
        }
        if (term && random() % 8 == 0) {
            term = false;
            pool.turns().end_term();
            REQUIRE(term == pool.turns().keeps_any());
            pool.serve();
        }
        const auto waiting =
            std::count_if(clients.begin(), clients.end(), [](auto& c) { return c->waiting(); });
        REQUIRE(pool.turns().size() == static_cast<std::size_t>(waiting));
    }
    std::size_t got = 0;
    for (const auto& client : clients) {
        got += client->got_;
    }
    CHECK(got == pool.counters().bytes_out);
}
