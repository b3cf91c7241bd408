// A dongle by its tty or a socket.
#include <doctest/doctest.h>

#include <vector>

#include <fcntl.h>
#include <sys/socket.h>

#include "ekeyd/sources/tty.h"
#include "tests/support/run_until.h"

namespace ekey {

namespace {

struct Owner final : LinkOwner {
    int fd = -1; // the link's
    std::string got, why;
    bool closed_when_lost = false;
    void on_bytes(ByteView bytes) override { got += as_text(bytes); }
    void on_writable() override {}
    void on_lost(const std::string& reason) override {
        why = reason;
        closed_when_lost = ::fcntl(fd, F_GETFD) < 0;
    }
};

} // namespace

TEST_CASE("promise 8: a dongle that is gone is let go of before anybody hears of it: it comes back at its "
          "old tty") {
    int ends[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    Fd dongle(ends[1]);
    Loop loop;
    Owner owner;
    owner.fd = ends[0];
    TtyLink link(loop, Fd(ends[0]), owner);
    REQUIRE(::write(dongle.get(), "noise", 5) == 5);
    CHECK(RunUntil::holds(loop, [&] { return owner.got == "noise"; }));
    dongle.reset();
    CHECK(RunUntil::holds(loop, [&] { return !owner.why.empty(); }));
    CHECK(owner.why == "closed by the other side");
    CHECK(owner.closed_when_lost);
    // Its owner may keep it until the loop is out of its callback.
    CHECK(link.write(as_bytes("x")) == 0);
    link.pause(true);
    link.pause(false);
}

// It never fails on a slow machine, which only makes the gap longer.
TEST_CASE("a slow dongle is read at most every 40 ms, and all that came meanwhile at once") {
    int ends[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    Fd dongle(ends[1]);
    Loop loop;
    struct SlowDongle final : LinkOwner {
        int dongle = -1;
        std::vector<std::pair<Time, std::size_t>> reads;
        void on_bytes(ByteView bytes) override {
            reads.emplace_back(Loop::now(), bytes.size());
            CHECK(::write(dongle, "and more", 8) == 8);
        }
        void on_writable() override {}
        void on_lost(const std::string&) override {}
    } owner;
    owner.dongle = dongle.get();
    TtyLink link(loop, Fd(ends[0]), owner);
    REQUIRE(::write(dongle.get(), "noise", 5) == 5);
    CHECK(RunUntil::holds(loop, [&] { return owner.reads.size() >= 3; }));
    CHECK(owner.reads[0].second == 5);
    CHECK(owner.reads[1].second == 8);
    // A millisecond of play: the loop's clock is a little behind.
    CHECK(owner.reads[1].first - owner.reads[0].first >= std::chrono::milliseconds(39));
    CHECK(owner.reads[2].first - owner.reads[1].first >= std::chrono::milliseconds(39));
}

} // namespace ekey
