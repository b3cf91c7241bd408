// How upstreams are reached: names, addresses, devices.
#include <ctime>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>

#include "egd-push/resolver.h"
#include "session_fixture.h"

using namespace ekey;
using namespace std::chrono_literals;
using Fixture = test::SessionFixture;

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

namespace {
// The other end of a character device: a pseudo-terminal, whose slave is one.
struct Device {
    Device() : master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
        REQUIRE(grantpt(master.get()) == 0);
        REQUIRE(unlockpt(master.get()) == 0);
        path = ptsname(master.get());
    }
    // What came; waits in the fixture's loop until there are `count` bytes.
    std::string take(Fixture& f, std::size_t count) {
        std::string text;
        CHECK(f.until([&] {
            pollfd now{master.get(), POLLIN, 0};
            while (text.size() < count && poll(&now, 1, 0) == 1 && (now.revents & POLLIN) != 0) {
                char byte = 0;
                if (::read(master.get(), &byte, 1) != 1) {
                    return false;
                }
                text += byte;
            }
            return text.size() == count;
        }));
        return text;
    }
    void give(const std::string& text) {
        CHECK(::write(master.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }
    // How many of this process's descriptors are it.
    std::size_t open_here() const {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
            std::error_code gone;
            count += std::filesystem::read_symlink(entry, gone) == path;
        }
        return count;
    }
    Fd master;
    std::string path;
};

struct DeviceFixture : Fixture {
    DeviceFixture() {
        options.from.clear();
        from_address("char:" + device.path);
    }
    Device device;
};
} // namespace

TEST_CASE_FIXTURE(DeviceFixture, "device: is asked, and answers, byte for byte; it is local, so credited") {
    options.bytes = 256;
    options.interval = 1h;
    start();
    CHECK(device.take(*this, 4) == std::string("\x02\xff\x02\x01", 4));
    std::string bytes;
    for (int i = 0; i < 256; ++i) {
        bytes += static_cast<char>(i); // a terminal that is not raw would change some of them
    }
    device.give(bytes.substr(0, 3));
    device.give(bytes.substr(3));
    CHECK(pushes(1));
    CHECK(destination.pushes.at(0) == bytes);
    CHECK(destination.credits.at(0) == 1024);
}

TEST_CASE_FIXTURE(DeviceFixture, "device: what was left in it is discarded; it is let go of between pushes") {
    options.interval = 200ms;
    Fd other(::open(device.path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)); // keeps the terminal up
    start();
    device.take(*this, 2);
    device.give(std::string(64, 'a') + "surplus");
    CHECK(pushes(1));
    CHECK(destination.pushes.at(0) == std::string(64, 'a'));
    CHECK(device.open_here() == 1); // ours, `other`
    device.take(*this, 2);
    device.give(std::string(63, 'b') + "c");
    CHECK(pushes(2));
    CHECK(destination.pushes.at(1) == std::string(63, 'b') + "c");
}

TEST_CASE_FIXTURE(DeviceFixture, "device: one whose other end goes is a failure, and no reason to spin") {
    for (const bool once : {true, false}) {
        Device other;
        options.from.clear();
        from_address("char:" + other.path);
        options.once = once;
        start();
        other.take(*this, 2);
        other.master.reset();
        if (once) {
            CHECK(ends());
            CHECK(!*finished);
            continue;
        }
        const std::clock_t before = std::clock(); // of the processor's time
        CHECK(!until([] { return false; }, 500ms));
        CHECK(std::clock() - before < CLOCKS_PER_SEC / 4);
    }
}

TEST_CASE_FIXTURE(Fixture, "device: what is no device, or never ends, is refused") {
    const auto refused = [this](const std::string& name) {
        options.from.clear();
        from_address("char:" + name);
        options.once = true;
        finished.reset();
        start();
        return ends() && !*finished && destination.pushes.empty();
    };
    CHECK(refused(folder + "/missing"));
    CHECK(refused(folder));
    CHECK(refused("/dev/null"));
    CHECK(refused("/dev/zero"));
}
