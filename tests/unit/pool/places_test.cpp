#include <algorithm>

#include "client.h"

using namespace ekey;
using namespace ekey::test;

namespace {

// Milliseconds go by; every 600 of them a source gives a tested block's worth at once, as an Entropy Key
// does.
struct Bursts {
    static constexpr int period = 600, term = 5;

    explicit Bursts(bool keeps) {
        if (keeps) {
            pool_.turns().keep_places([this] { term_end_ = now_ + term; });
        }
    }
    // Asks far ahead: always waits again.
    void add_greedy(std::size_t size) { add(size, 1 << 30, 0); }
    // Asks again only so long after its answer.
    void add_modest(std::size_t size, int pause) { add(size, 1, pause); }

    void run(int ms, std::size_t burst, int every = period) {
        for (const int end = now_ + ms; now_ < end; ++now_) {
            if (now_ % every == 0) {
                put(pool_, std::min(burst, pool_.room()));
                pool_.serve();
            }
            if (now_ == term_end_) {
                pool_.turns().end_term();
                pool_.serve();
            }
            for (std::size_t i = 0; i < clients_.size(); ++i) {
                Client& client = *clients_[i];
                if (client.got_ != seen_[i]) {
                    seen_[i] = client.got_;
                    back_[i] = now_ + pauses_[i];
                }
                if (!client.waiting() && now_ >= back_[i]) {
                    client.rounds_ = std::max(client.rounds_, 1);
                    pool_.turns().wait(client);
                    pool_.serve();
                }
            }
        }
    }

    Pool pool_{65536};
    std::vector<std::unique_ptr<Client>> clients_;
    int now_ = 0, term_end_ = -1;

  private:
    void add(std::size_t size, int rounds, int pause) {
        clients_.push_back(std::make_unique<Client>(size, rounds));
        pauses_.push_back(pause);
        seen_.push_back(0);
        back_.push_back(0);
    }
    std::vector<int> pauses_, back_;
    std::vector<std::size_t> seen_;
};

} // namespace

TEST_CASE("promise 7: who asks again only after each answer gets as much of a burst as who asks far ahead") {
    Bursts flow(true);
    for (int i = 0; i < 8; ++i) {
        i < 2 ? flow.add_greedy(32) : flow.add_modest(32, 1 + i % 4);
    }
    flow.run(60000, 1900);
    CHECK(jain(flow.clients_) > 0.99);
    // ... and nothing of the supply is held back for good: less than an answer to each is left.
    CHECK(flow.pool_.counters().bytes_in == 100 * 1900);
    CHECK(flow.pool_.size() < 8 * 32);
}

TEST_CASE("promise 7: the same for requests of mixed sizes") {
    Bursts flow(true);
    for (const std::size_t size : {16, 32, 64, 100, 255}) {
        flow.add_greedy(size);
        flow.add_modest(size, 1);
        flow.add_modest(size, 3);
    }
    flow.run(60000, 1900);
    CHECK(jain(flow.clients_) > 0.97);
    CHECK(flow.pool_.size() < 1900);
}

TEST_CASE("promise 7: while the pool is plentiful, nobody waits for one who may ask again") {
    Bursts flow(true);
    flow.add_greedy(255);
    flow.add_greedy(255);
    for (int i = 0; i < 20; ++i) {
        flow.add_modest(32, 4); // each time as late as it may
    }
    flow.run(60000, 20000, 10); // 2 MB/s
    const auto& count = flow.pool_.counters();
    CHECK(count.bytes_in == 60000 / 10 * std::uint64_t{20000}); // the pool was never full
    CHECK(count.bytes_out + flow.pool_.capacity() >= count.bytes_in);
}

TEST_CASE("promise 7: single bytes asked for at the last moment do not hold up a large request") {
    Bursts flow(true);
    for (int i = 0; i < 10; ++i) {
        flow.add_modest(1, 4);
    }
    flow.add_modest(255, 0);
    flow.run(1, 0); // all wait
    put(flow.pool_, 1000);
    flow.pool_.serve();
    const int start = flow.now_;
    while (flow.clients_.back()->got_ == 0 && flow.now_ < start + 5000) {
        flow.run(1, 0);
    }
    CHECK(flow.now_ - start <= 2 * Bursts::term * (255 / 16 + 1));
}

TEST_CASE("turns: a place is kept for two terms at most, and only for who was served while others waited") {
    Pool pool(1024);
    int terms = 0;
    pool.turns().keep_places([&terms] { ++terms; });
    Client a(32), b(32), ahead(32, 1 << 30);

    pool.turns().wait(a);
    put(pool, 40);
    pool.serve();
    CHECK(a.got_ == 32);
    CHECK(terms == 0); // it was alone
    CHECK(pool.spare() == 8);

    pool.turns().wait(b);
    pool.turns().wait(ahead);
    put(pool, 120);
    pool.serve();
    CHECK(b.got_ == 32);
    CHECK(ahead.got_ == 32); // 64 bytes are left: it waits for b
    CHECK(terms == 1);
    CHECK_FALSE(b.waiting());
    CHECK(pool.turns().size() == 1);
    CHECK(pool.spare() == 0);
    SUBCASE("it comes back in time and is served first") {
        std::vector<Client*> order;
        b.order_ = ahead.order_ = &order;
        pool.turns().end_term();
        CHECK(terms == 2);
        pool.turns().wait(b);
        pool.serve();
        CHECK(order == std::vector<Client*>{&b, &ahead});
    }
    SUBCASE("it does not come back") {
        pool.turns().end_term();
        pool.serve();
        CHECK(ahead.got_ == 32);
        pool.turns().end_term();
        pool.serve();
        CHECK(ahead.got_ == 96);
        CHECK(terms == 2); // no more to measure
    }
    SUBCASE("it leaves") {
        pool.turns().leave(b);
        pool.serve();
        CHECK(ahead.got_ == 96);
    }
    SUBCASE("the pool is half full: nobody is held up, and those who do not wait are served again") {
        put(pool, 512);
        pool.serve();
        CHECK(ahead.got_ >= 96);
        pool.turns().leave(ahead);
    }
    SUBCASE("only the place is left: those who do not wait get nothing until it is given up") {
        pool.turns().leave(ahead);
        CHECK(pool.turns().empty());
        CHECK(pool.spare() == 0);
        pool.turns().end_term();
        CHECK(pool.spare() == 0);
        pool.turns().end_term();
        CHECK(pool.spare() == 64);
    }
}
