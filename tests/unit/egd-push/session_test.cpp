// Upstreams and sessions against servers that the test plays itself, on the same loop.
#include "egd-push/session.h"

#include <csignal>
#include <filesystem>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>

#include "tests/support/fake_kernel_pool.h"
#include "tests/support/run_until.h"

using namespace ekey;
using namespace std::chrono_literals;

namespace {

// A server on a Unix socket: counts what it is asked and answers as told.
class Server {
  public:
    Server(Loop& loop, const std::string& path) : loop_(loop), path_(path), ready_(loop) {
        ready_.bind<&Server::on_client>(this);
        listen();
    }
    ~Server() { unlink(path_.c_str()); }

    void listen() {
        unlink(path_.c_str());
        listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::copy(path_.begin(), path_.end(), address.sun_path);
        REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(listener_.get(), 5) == 0);
        ready_.watch(listener_.get(), IoWatcher::readable);
    }
    void close() { // as if it were stopped
        ready_.stop();
        listener_.reset();
        clients_.clear();
        unlink(path_.c_str());
    }
    void drop_clients() { clients_.clear(); }
    void send(const std::string& bytes) {
        for (auto& client : clients_) {
            (void)::send(client->fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        }
    }
    std::size_t clients() const { return clients_.size(); }

    // What it answers a request of n bytes with; an answer that is too short keeps the client waiting.
    std::function<std::string(std::size_t n)> answer = [this](std::size_t n) { return bytes(n); };
    bool hang_up = false; // after its answer
    std::string bytes(std::size_t n) {
        std::string out;
        for (; out.size() < n; ++given) {
            out.push_back(static_cast<char>(given * 3 + 1));
        }
        return out;
    }
    std::vector<std::size_t> asked; // n of each blocking read
    std::size_t connections = 0, given = 0;

  private:
    struct Client {
        Client(Server& s, Loop& loop, int accepted) : server(s), fd(accepted), io(loop) {
            io.bind<&Client::on_request>(this);
            io.watch(fd.get(), IoWatcher::readable);
        }
        void on_request(int) {
            Byte request[64];
            const ssize_t got = ::recv(fd.get(), request, sizeof request, 0);
            if (got <= 0) {
                io.stop();
                fd.reset();
                return;
            }
            for (ssize_t i = 0; i + 1 < got; i += 2) {
                CHECK(request[i] == 2); // a blocking read
                server.asked.push_back(request[i + 1]);
                const std::string out = server.answer(request[i + 1]);
                (void)::send(fd.get(), out.data(), out.size(), MSG_NOSIGNAL);
            }
            if (server.hang_up) {
                io.stop();
                fd.reset();
            }
        }
        Server& server;
        Fd fd;
        IoWatcher io;
    };
    void on_client(int) {
        const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            ++connections;
            clients_.push_back(std::make_unique<Client>(*this, loop_, fd));
        }
    }
    Loop& loop_;
    std::string path_;
    Fd listener_;
    IoWatcher ready_;
    std::vector<std::unique_ptr<Client>> clients_;
};

class FakeDestination final : public Destination {
  public:
    Result<unsigned> push(ByteView bytes, unsigned bits) override {
        if (!trouble.empty()) {
            return fail(trouble);
        }
        pushes.emplace_back(bytes.begin(), bytes.end());
        credits.push_back(bits);
        return may_credit ? bits : 0;
    }
    bool mixes() const override { return kernel; }
    bool can_take() const override { return takes; }
    bool gone() const override { return is_gone; }
    int need_fd() const override { return need; }

    bool kernel = true, takes = true, is_gone = false, may_credit = true;
    int need = -1;
    std::string trouble;
    std::vector<std::string> pushes;
    std::vector<unsigned> credits;
};

struct Fixture : SessionOwner {
    Fixture() {
        std::signal(SIGPIPE, SIG_IGN);
        char name[] = "/tmp/ekeyd-test-XXXXXX";
        folder = mkdtemp(name);
        options.to = {"kernel", "", {}, "kernel"};
        options.interval = 50ms;
        options.timeout = 5s;
        from("a");
    }
    virtual ~Fixture() { std::filesystem::remove_all(folder); }

    std::string path(const std::string& name) const { return folder + "/" + name; }
    void from(const std::string& name) {
        options.from.push_back(*config::parse_address("unix:" + path(name)));
    }
    void start() {
        session = std::make_unique<Session>(loop, options, destination, *this);
        session->start();
    }
    bool until(std::function<bool()> what, Duration deadline = 10s) {
        return RunUntil::holds(loop, std::move(what), deadline);
    }
    bool pushes(std::size_t count) {
        return until([this, count] { return destination.pushes.size() >= count; });
    }
    bool ends() {
        return until([this] { return finished.has_value(); });
    }
    void on_first_push() override { ++first_pushes; }
    void on_finished(bool pushed) override { finished = pushed; }

    Loop loop;
    std::string folder;
    PushOptions options;
    FakeDestination destination;
    std::unique_ptr<Session> session;
    int first_pushes = 0;
    std::optional<bool> finished;
};

} // namespace

TEST_CASE_FIXTURE(Fixture, "session: pushes at once, then within every interval, over one connection") {
    Server server(loop, path("a"));
    start();
    CHECK(pushes(5));
    CHECK(server.connections == 1);
    CHECK(server.asked[0] == 64);
    CHECK(destination.credits[0] == 256); // a local socket: 4 bits a byte
    CHECK(first_pushes == 1);
    std::string all;
    for (const std::string& push : destination.pushes) {
        CHECK(push.size() == 64);
        all += push;
    }
    server.given = 0;
    CHECK(all == server.bytes(all.size())); // each byte once, in order
    CHECK(!finished);
}

TEST_CASE_FIXTURE(Fixture, "session: a push longer than a request is asked for in pieces and pushed whole") {
    Server server(loop, path("a"));
    options.bytes = 1000;
    options.interval = 1h;
    std::size_t answers = 0;
    server.answer = [&](std::size_t n) { return ++answers == 4 ? std::string() : server.bytes(n); };
    start();
    CHECK(until([&] { return server.asked.size() == 4; }));
    CHECK(server.asked == std::vector<std::size_t>{255, 255, 255, 235});
    CHECK(!until([&] { return !destination.pushes.empty(); }, 100ms)); // three of four pieces are no push
    std::string last = server.bytes(235);
    for (const char c : last) {
        server.send(std::string(1, c)); // byte by byte
    }
    CHECK(pushes(1));
    server.given = 0;
    CHECK(destination.pushes[0] == server.bytes(1000));
    CHECK(destination.credits[0] == 4000);
}

TEST_CASE_FIXTURE(Fixture,
                  "session: upstreams are pushed each when it answers; a dead or silent one delays none") {
    from("b");
    from("c");
    Server a(loop, path("a")), silent(loop, path("c"));
    silent.answer = [](std::size_t) { return ""; };
    start();
    CHECK(pushes(4));
    CHECK(silent.asked.size() == 1);
    // The dead one comes back and takes part.
    Server b(loop, path("b"));
    b.given = 100;
    CHECK(until([&] { return !b.asked.empty(); }));
}

TEST_CASE_FIXTURE(Fixture, "session: an upstream that restarts is connected to again") {
    Server server(loop, path("a"));
    start();
    CHECK(pushes(2));
    server.close();
    const std::size_t before = destination.pushes.size();
    server.listen();
    CHECK(until([&] { return destination.pushes.size() >= before + 2; }));
    CHECK(server.connections == 2);
}

TEST_CASE_FIXTURE(Fixture,
                  "session: one that dies in the middle of its answer gives nothing, and is tried again") {
    Server server(loop, path("a"));
    server.answer = [&](std::size_t) { return std::string(63, 'x'); };
    server.hang_up = true;
    start();
    CHECK(until([&] { return server.connections == 2; }));
    CHECK(destination.pushes.empty());
    server.answer = [&](std::size_t n) { return server.bytes(n); };
    CHECK(pushes(1));
    CHECK(destination.pushes[0].find('x') != 0);
}

TEST_CASE_FIXTURE(Fixture, "session: more bytes than were asked for are refused, at once or later") {
    Server server(loop, path("a"));
    server.answer = [&](std::size_t n) { return server.bytes(n + 1); };
    start();
    CHECK(until([&] { return server.connections == 2; }));
    CHECK(destination.pushes.empty());
    server.answer = [&](std::size_t n) { return server.bytes(n); };
    CHECK(pushes(1));
    const auto connections = server.connections;
    server.send("unasked");
    CHECK(until([&] { return server.connections == connections + 1; }));
}

TEST_CASE_FIXTURE(Fixture, "session: one that never answers runs out of time") {
    Server server(loop, path("a"));
    server.answer = [](std::size_t) { return ""; };
    options.timeout = 50ms;
    options.once = true;
    start();
    CHECK(ends());
    CHECK(!*finished);
    CHECK(server.asked.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "session: back-off: a dead upstream is not asked in a loop") {
    Server server(loop, path("a"));
    server.answer = [](std::size_t) { return "short"; };
    server.hang_up = true;
    start();
    CHECK(!until([&] { return server.connections > 3; }, 1300ms)); // at 0, 0.5..1 and 1.5..3 s
}

TEST_CASE_FIXTURE(Fixture,
                  "session: --once with one good and one dead upstream succeeds, after both were tried") {
    from("b");
    Server b(loop, path("b"));
    options.once = true;
    start();
    CHECK(ends());
    CHECK(*finished);
    CHECK(destination.pushes.size() == 1);
    CHECK(!until([&] { return b.asked.size() > 1; }, 100ms));
}

TEST_CASE_FIXTURE(Fixture, "session: --once when nobody is there fails, even before the loop runs") {
    from("b");
    options.once = true;
    start();
    REQUIRE(finished);
    CHECK(!*finished);
    CHECK(first_pushes == 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "session: a file or stream gets one mixture of all upstreams, of exactly N bytes") {
    from("b");
    from("c"); // dead
    destination.kernel = false;
    options.once = true;
    Server a(loop, path("a")), b(loop, path("b"));
    b.given = 50;
    start();
    CHECK(ends());
    CHECK(*finished);
    REQUIRE(destination.pushes.size() == 1);
    CHECK(destination.pushes[0].size() == 64);
    a.given = 0;
    b.given = 50;
    CHECK(destination.pushes[0] != a.bytes(64));
    CHECK(destination.pushes[0] != b.bytes(64));
}

TEST_CASE_FIXTURE(Fixture,
                  "session: a destination that takes nothing is not fetched for; one that is gone ends it") {
    Server server(loop, path("a"));
    destination.kernel = destination.takes = false;
    start();
    CHECK(!until([&] { return server.connections > 0; }, 200ms));
    destination.takes = true;
    CHECK(pushes(1));
    destination.trouble = "closed";
    destination.is_gone = true;
    CHECK(ends());
    CHECK(!*finished);
}

TEST_CASE_FIXTURE(Fixture, "session: one value again and again is pushed without credit") {
    Server server(loop, path("a"));
    server.answer = [](std::size_t n) { return std::string(n, 'A'); };
    start();
    CHECK(pushes(1));
    CHECK(destination.credits[0] == 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "session: an old kernel that asks is served before the timer, once a second at most") {
    int ends_of[2];
    REQUIRE(pipe2(ends_of, O_CLOEXEC) == 0);
    const Fd reader(ends_of[0]), writer(ends_of[1]); // writable for ever
    destination.need = writer.get();
    options.interval = 1h;
    Server server(loop, path("a"));
    const Time begin = Loop::now();
    start();
    CHECK(pushes(2));
    CHECK(Loop::now() - begin > 900ms);
    // Where credit does not count, the kernel would ask for ever.
    destination.may_credit = false;
    CHECK(pushes(3));
    CHECK(!until([&] { return destination.pushes.size() > 3; }, 1300ms));
}

TEST_CASE_FIXTURE(Fixture, "session: a wake-up brings a push at once, and many bring no storm") {
    options.interval = 1h;
    Server server(loop, path("a"));
    start();
    CHECK(pushes(1));
    for (int i = 0; i < 100; ++i) {
        session->push_soon();
    }
    CHECK(pushes(2));
    CHECK(!until([&] { return destination.pushes.size() > 2; }, 100ms));
}

TEST_CASE_FIXTURE(Fixture, "upstream: names are looked up off the loop; clear TCP has no credit") {
    const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener.get(), 5) == 0);
    REQUIRE(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    options.from = {*config::parse_address("tcp:localhost:" + std::to_string(ntohs(address.sin_port)))};
    options.once = true;
    start();
    CHECK(!finished);
    const Fd client([&] {
        int fd = -1;
        pollfd wait{listener.get(), POLLIN, 0};
        CHECK(until([&] { return poll(&wait, 1, 0) == 1; }));
        fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
        return fd;
    }());
    REQUIRE(client);
    const std::string bytes(64, 'q');
    REQUIRE(::send(client.get(), "ab", 2, 0) == 2);
    REQUIRE(::send(client.get(), bytes.data(), 62, 0) == 62);
    CHECK(ends());
    CHECK(*finished);
    CHECK(destination.credits == std::vector<unsigned>{0}); // clear TCP
}

TEST_CASE_FIXTURE(Fixture, "upstream: a name that nobody knows is a failure") {
    options.from = {*config::parse_address("tcp:does-not-exist.invalid:8888")};
    options.once = true;
    start();
    CHECK(ends());
    CHECK(!*finished);
}

TEST_CASE_FIXTURE(Fixture, "upstream: one that goes while its name is looked up leaves nothing behind") {
    options.from = {*config::parse_address("tcp:does-not-exist.invalid:8888")};
    start();
    session.reset();
    CHECK(!until([] { return false; }, 50ms));
}

TEST_CASE(
    "resolver: numbers at once; names later; none after cancel(), and the next start() takes the answer") {
    struct Owner final : ResolverOwner {
        void on_resolved(Result<SocketAddresses> addresses) override {
            ++answers;
            found = addresses ? addresses->size() : 0;
        }
        std::size_t answers = 0, found = 0;
    } owner;
    Loop loop;
    Resolver resolver(loop, owner);
    resolver.start("::1", 80);
    CHECK(owner.answers == 1);
    CHECK(owner.found == 1);
    resolver.start("localhost", 80);
    CHECK(owner.answers == 1);
    resolver.cancel();
    CHECK(!RunUntil::holds(
        loop, [&] { return owner.answers > 1; }, 200ms));
    resolver.start("localhost", 80);
    resolver.cancel();
    resolver.start("localhost", 80);
    CHECK(RunUntil::holds(loop, [&] { return owner.answers > 1; }));
    CHECK(owner.found >= 1);
    CHECK(!RunUntil::holds(
        loop, [&] { return owner.answers > 2; }, 100ms));
}
