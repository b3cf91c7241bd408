#include <string>

#include <doctest/doctest.h>
#include <sys/socket.h>

#include "ekeyd/listeners/kept_state.h"
#include "fixture.h"

using namespace ekey;
using namespace ekey::test;
using namespace std::string_literals;

namespace {

// Moves the clients of one listener to another, as a restart does.
void move(Fixture& from, Fixture& to) {
    for (KeptClient& client : from.listener->let_go()) {
        to.listener->take_over(std::move(client));
    }
}

} // namespace

TEST_CASE(
    "promise 4: a client that goes to another process gets what it asked for there, and nothing twice") {
    for (const std::string kind : {"unix", "tcp"}) {
        Fixture before(kind), after(kind);
        Peer waits(before), behind(before), half(before), idle(before);
        waits.send("\x02\x20");
        behind.send("\x02\x10\x02\x08\x02\x04\x02");
        half.send("\x02");
        before.until([&] { return before.counters().waiting == 2; });
        before.feed(8); // not enough for anyone
        before.settle();
        move(before, after);
        CHECK(after.counters().clients == 4);
        CHECK(after.counters().waiting == 2);
        before.feed(100); // reaches nobody any more
        CHECK(before.counters().bytes_served == 0);
        CHECK(before.pool.size() == 108);
        half.send("\x02");
        after.until([&] { return after.counters().waiting == 3; });
        after.feed(0x20 + 0x10 + 8 + 4 + 2 + 3);
        after.settle();
        behind.send("\x03");
        idle.send("\0"s);
        // The pumps of the peers are of the listener that is gone, so they are read as they are.
        const auto read = [&](const Peer& peer, std::size_t count) {
            std::string got(count, '\0');
            std::size_t size = 0;
            after.until([&] {
                const ssize_t some = recv(peer.fd(), got.data() + size, count - size, 0);
                size += some > 0 ? static_cast<std::size_t>(some) : 0;
                return size == count;
            });
            return got;
        };
        const std::string first = read(waits, 0x20), second = read(behind, 0x10 + 8 + 4 + 3),
                          third = read(half, 2);
        CHECK(read(idle, 4) == "\0\0\0\0"s);
        CHECK(after.counters().bytes_served == 0x20 + 0x10 + 8 + 4 + 2 + 3);
        CHECK(after.pool.size() == 0);
        // All of them are of the pool, each place once.
        const std::string all = stream(0, 0x20 + 0x10 + 8 + 4 + 2 + 3);
        std::string sorted = first + second + third, expected = all;
        std::sort(sorted.begin(), sorted.end());
        std::sort(expected.begin(), expected.end());
        CHECK(sorted == expected);
    }
}

TEST_CASE("kept clients: the limits of the listener that takes them over hold") {
    Fixture before("unix"), after("unix", ",max-clients=1");
    Peer one(before), two(before);
    auto kept = before.listener->let_go();
    REQUIRE(kept.size() == 2);
    CHECK(after.listener->take_over(std::move(kept[0])));
    CHECK_FALSE(after.listener->take_over(std::move(kept[1])));
    CHECK(after.counters().refused == 1);
    // Who had been connected for long needs no first request.
    Fixture hasty("unix", ",handshake=1");
    auto again = after.listener->let_go();
    REQUIRE(again.size() == 1);
    CHECK(hasty.listener->take_over(std::move(again[0])));
    const Time later = Loop::now() + std::chrono::milliseconds(1600);
    hasty.until([&] { return Loop::now() > later; });
    CHECK(hasty.counters().clients == 1);
}

TEST_CASE("kept clients: those that come back are served, and their places are free meanwhile") {
    Fixture before("unix", ",max-clients=2"), after("unix");
    Peer one(before), two(before);
    one.send("\x02\x20");
    before.until([&] { return before.counters().waiting == 1; });
    move(before, after);
    CHECK(before.counters().clients == 0);
    CHECK(before.counters().waiting == 0);
    CHECK(before.counters().closed == 0); // none was
    move(after, before);
    CHECK(before.counters().clients == 2);
    CHECK(before.counters().refused == 0);
    before.feed(0x20);
    before.settle();
    CHECK(before.counters().bytes_served == 0x20);
}

TEST_CASE("promise 5: garbage in what a kept client is owed costs that client") {
    Fixture before("unix"), after("unix");
    Peer one(before), two(before);
    auto kept = before.listener->let_go();
    REQUIRE(kept.size() == 2);
    const Byte garbage[] = {0, 0xff, 7};
    kept[0].owed.add(garbage);
    CHECK(after.listener->take_over(std::move(kept[0])));
    CHECK(after.listener->take_over(std::move(kept[1])));
    after.settle();
    CHECK(after.counters().clients == 1);
    CHECK(after.counters().protocol_errors == 1);
}

TEST_CASE("kept clients: what is written is read; each is given out once") {
    Fixture fixture("unix");
    Peer one(fixture), two(fixture), three(fixture);
    two.send("\x02\x20\x01");
    fixture.until([&] { return fixture.counters().waiting == 1; });
    std::vector<KeptListener> listeners;
    listeners.push_back({"unix:/a path, with a comma", fixture.listener->let_go(), 0});
    REQUIRE(listeners[0].clients.size() == 3);
    listeners.push_back({"tcp:[::1]:1", {}, 0});
    listeners[1].clients.push_back(std::move(listeners[0].clients.back()));
    listeners[0].clients.pop_back();
    auto state = KeptState::parse(KeptState::encode(listeners));
    REQUIRE(state);
    CHECK(state->listeners() == std::vector<std::string>{listeners[0].where, listeners[1].where});
    CHECK(state->size() == 3);
    for (std::size_t i = 0; i < 2; ++i) {
        for (const KeptClient& client : listeners[i].clients) {
            const std::uint64_t cookie = socket_cookie(client.socket.get());
            const auto found = state->take(cookie);
            REQUIRE(found);
            CHECK(found->listener == i);
            CHECK(as_text(found->owed.view()) == as_text(client.owed.view()));
            CHECK_FALSE(state->take(cookie));
        }
    }
    CHECK(state->size() == 0);
    CHECK(socket_cookie(-1) == 0);
}

TEST_CASE("promise 5: a list of clients that is not ours is refused, with its line") {
    const std::string head = "ekeyd clients 1\nlistener unix:/x\n", most(132, '0');
    CHECK(KeptState::parse(head + "1 -\n2 02ff\n3 " + most + "\n"));
    const std::pair<std::string, const char*> cases[] = {
        {"", "no list"},
        {"ekeyd clients 2\n", "no list"},
        {"ekeyd clients 1", "no list"},
        {"ekeyd clients 1\n1 -\n", "line 2: a client has no"},
        {head + "1 -", "line 3: it is cut off"},
        {head + "1 -\n1 -\n", "line 4: a client is there twice"},
        {head + "\n", "line 3: it is no client"},
        {head + "1\n", "line 3: it is no client"},
        {head + "1 \n", "line 3: it is no client"},
        {head + "-1 -\n", "line 3: it is no client"},
        {head + "1 0\n", "line 3: it is no client"},
        {head + "1 0G\n", "line 3: it is no client"},
        {head + "1 " + most + "00\n", "line 3: it is no client"},
        {head + "18446744073709551616 -\n", "line 3: it is no"},
        {std::string(5 << 20, 'x'), "no list"}};
    for (const auto& [text, why] : cases) {
        const auto state = KeptState::parse(text);
        REQUIRE_FALSE(state);
        CHECK_MESSAGE(state.error().what.starts_with("it is no list") == (why == "no list"s),
                      state.error().what);
        CHECK_MESSAGE(state.error().what.find(why) != std::string::npos, state.error().what);
    }
    std::string many = head;
    for (std::size_t i = 0; i <= KeptState::most_clients; ++i) {
        many += std::to_string(i) + " -\n";
    }
    const auto state = KeptState::parse(many);
    REQUIRE_FALSE(state);
    CHECK(state.error().what.find("too many") != std::string::npos);
}
