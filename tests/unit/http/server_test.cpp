// The server on a loop, with clients that are the other ends of socket pairs.
#include <doctest/doctest.h>

#include <vector>

#include <fcntl.h>
#include <sys/socket.h>

#include "ekeyd/http/server.h"
#include "tests/support/run_until.h"

using namespace ekey;
using namespace ekey::http;
using namespace std::chrono_literals;

namespace {

struct Pages final : Site {
    int made = 0;
    std::optional<Document> document(std::string_view path) override {
        if (path != "/page") {
            return std::nullopt;
        }
        ++made;
        return Document{MHD_HTTP_OK, "text/plain", "the page", {}};
    }
};

class Bench {
  public:
    explicit Bench(ConnectionLimits limits) {
        const auto library = Library::load();
        REQUIRE_MESSAGE(library, (library ? "" : library.error().what));
        auto started = Server::start(**library, loop, pages, limits);
        REQUIRE(started);
        server = std::move(*started);
    }
    // The client's end; the server has the other one, if it took it.
    Fd client() {
        int ends[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        last_taken = server->add(Fd(ends[0]));
        return Fd(ends[1]);
    }
    // What came until `enough`, or the end.
    std::string read(const Fd& from, const std::string& enough) {
        std::string got;
        ended = false;
        RunUntil::holds(
            loop,
            [&] {
                char some[4096];
                ssize_t count = 0;
                while ((count = recv(from.get(), some, sizeof some, 0)) > 0) {
                    got.append(some, static_cast<std::size_t>(count));
                }
                ended = count == 0 || errno != EAGAIN;
                return ended || (!enough.empty() && got.ends_with(enough));
            },
            30s);
        return got;
    }
    Loop loop;
    Pages pages;
    std::unique_ptr<Server> server;
    bool last_taken = false, ended = false;
};

void say(const Fd& to, const std::string& text) {
    REQUIRE(send(to.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

const std::string get = "GET /page HTTP/1.1\r\nHost: x\r\n\r\n";

} // namespace

TEST_CASE("http server: a connection is kept for more requests, byte by byte or several at once") {
    Bench bench({});
    const Fd client = bench.client();
    for (const char byte : get) {
        say(client, {byte});
    }
    CHECK(bench.read(client, "the page").starts_with("HTTP/1.1 200 OK\r\n"));
    say(client, get + get);
    const std::string two = bench.read(client, "the page");
    CHECK_FALSE(bench.ended);
    CHECK((two.find("the page") != two.rfind("the page") || bench.read(client, "the page").size() > 8));
    CHECK(bench.server->counters().requests == 3);
}

TEST_CASE("http server: however many ask, a document is made a few times a second") {
    Bench bench({});
    std::vector<Fd> clients;
    const Time began = Loop::now();
    for (int i = 0; i < 60; ++i) {
        clients.push_back(bench.client());
        say(clients.back(), get);
    }
    for (const Fd& client : clients) {
        CHECK(bench.read(client, "the page").ends_with("the page"));
    }
    CHECK(bench.server->counters().requests == 60);
    CHECK(bench.pages.made <= 1 + (Loop::now() - began) / 100ms);
}

TEST_CASE("promise 8: http server: no more clients than the limit, and places come back") {
    ConnectionLimits limits;
    limits.max_clients = 2;
    Bench bench(limits);
    const Fd one = bench.client();
    std::optional<Fd> two = bench.client();
    CHECK(bench.last_taken);
    const Fd three = bench.client();
    CHECK_FALSE(bench.last_taken);
    CHECK(bench.read(three, "").empty());
    CHECK(bench.ended);
    CHECK(bench.server->counters().connections.clients == 2);
    two.reset();
    CHECK(RunUntil::holds(
        bench.loop, [&] { return bench.server->counters().connections.clients == 1; }, 30s));
    const Fd four = bench.client();
    CHECK(bench.last_taken);
    say(four, get);
    CHECK(bench.read(four, "the page").ends_with("the page"));
}

TEST_CASE("promise 5: http server: who sends a request for ever is closed, and so is who says nothing") {
    ConnectionLimits limits;
    limits.silence = limits.request = 1;
    Bench bench(limits);
    const Fd silent = bench.client(), slow = bench.client();
    say(slow, "GET /page HTTP/1.1\r\n");
    // It is never silent for as long as that is allowed, and its headers never get too long.
    Time next = Loop::now();
    const bool over = RunUntil::holds(
        bench.loop,
        [&] {
            char byte = 0;
            if (Loop::now() >= next) {
                next = Loop::now() + 100ms;
                static_cast<void>(send(slow.get(), "a", 1, MSG_NOSIGNAL));
            }
            return recv(slow.get(), &byte, 1, 0) == 0;
        },
        30s);
    CHECK(over);
    CHECK(bench.read(silent, "").empty());
    CHECK(bench.ended);
    CHECK(RunUntil::holds(
        bench.loop, [&] { return bench.server->counters().connections.clients == 0; }, 30s));
}

TEST_CASE("promise 5: http server: garbage, long headers and bodies end with their connection") {
    ConnectionLimits limits;
    limits.silence = 1; // for what the library goes on to wait for
    Bench bench(limits);
    for (const std::string& request :
         {std::string("\0\xff\x01 garbage\r\n\r\n", 16),
          "GET /page HTTP/1.1\r\nA: " + std::string(20000, 'a'), std::string("GET\r\n\r\n"),
          std::string("GET /page HTTP/9.9\r\n\r\n"),
          "POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n" +
              std::string(999, 'b')}) {
        const Fd client = bench.client();
        say(client, request);
        const std::string answer = bench.read(client, "");
        CHECK_MESSAGE(bench.ended, request.substr(0, 20));
        CHECK_FALSE(answer.starts_with("HTTP/1.1 200"));
    }
    CHECK(bench.pages.made == 0);
    // Of the first one the library makes nothing, and on these sockets nobody knows that it was sent.
    CHECK(bench.server->counters().connections.errors == 4);
    const Fd good = bench.client();
    say(good, get);
    CHECK(bench.read(good, "the page").ends_with("the page"));
    CHECK(bench.server->counters().connections.errors == 4);
}

TEST_CASE("http server: who asks for what is not there, or only looks whether somebody listens, breaks no "
          "protocol") {
    ConnectionLimits limits;
    limits.silence = 1;
    Bench bench(limits);
    { const Fd probe = bench.client(); }
    const Fd lost = bench.client(), silent = bench.client();
    say(lost, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(bench.read(lost, "There is nothing here.\n").starts_with("HTTP/1.1 404"));
    say(lost, "PUT /page HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    CHECK(bench.read(lost, "are answered.\n").starts_with("HTTP/1.1 405"));
    bench.read(silent, "");
    CHECK(bench.ended);
    bench.read(lost, "");
    CHECK(bench.server->counters().connections.errors == 0);
    CHECK(bench.server->counters().connections.timed_out == 1); // the silent one; a PUT ends its connection
}
