#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "ekeyd/pipeline.h"
#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/unix_socket.h"

using namespace ekey;
namespace fs = std::filesystem;

namespace {

// A pipeline whose sources are FIFOs that the test writes to.
struct Bench {
    std::string folder;
    Loop loop;
    Pipeline pipeline;
    std::vector<Fd> writers;

    explicit Bench(std::size_t pool_size = 65536) : pipeline(loop, pool_size, std::chrono::hours(1)) {
        char name[] = "/tmp/ekeyd-pipeline-test-XXXXXX";
        folder = mkdtemp(name);
    }
    ~Bench() { fs::remove_all(folder); }

    std::string fifo(const std::string& name) {
        const std::string path = folder + "/" + name;
        REQUIRE(mkfifo(path.c_str(), 0600) == 0);
        return path;
    }
    unsigned add(const std::string& address) {
        const auto number = pipeline.add_source(address, std::nullopt);
        REQUIRE_MESSAGE(number, (number ? "" : number.error().what));
        return *number;
    }
    void write_to(const std::string& path, std::size_t size, int value = -1) {
        std::vector<Byte> bytes(size);
        if (value < 0) {
            randombytes_buf(bytes.data(), size);
        } else {
            std::fill(bytes.begin(), bytes.end(), static_cast<Byte>(value));
        }
        writers.emplace_back(open(path.c_str(), O_WRONLY | O_CLOEXEC));
        REQUIRE(write(writers.back().get(), bytes.data(), size) == static_cast<ssize_t>(size));
    }
    std::string value(std::optional<unsigned> number, const std::string& name) const {
        const auto lines = pipeline.health(number);
        REQUIRE(lines);
        for (const std::string& line : *lines) {
            if (line.starts_with(name + "=")) {
                return line.substr(name.size() + 1);
            }
        }
        return "(none)";
    }

    // Runs the loop until `name` has the value, or 10 seconds have passed.
    bool wait_for(std::optional<unsigned> number, const std::string& name, const std::string& wanted) {
        struct Poll {
            Bench& bench;
            std::function<bool()> done;
            int left = 5000;
            void look() {
                if (done() || --left == 0) {
                    bench.loop.stop();
                }
            }
        } poll{*this, [&] { return value(number, name) == wanted; }};
        Timer timer(loop);
        timer.bind<&Poll::look>(&poll);
        timer.every(std::chrono::milliseconds(2));
        loop.run();
        return value(number, name) == wanted;
    }
};

} // namespace

// 2,500 bytes at 4 bits are 10,000 bits; an output takes 576 bits, 144 bytes at 4: 17 outputs of 64 bytes, of
// which the first seeds the generator that the others are XORed with.
TEST_CASE("promise 2: the pool gets 512 bits for 576 assessed bits, and no more") {
    Bench bench;
    const std::string path = bench.fifo("a");
    const unsigned number = bench.add("device:" + path + ",min-entropy=4");
    bench.write_to(path, 2500);
    REQUIRE(bench.wait_for(number, "BytesReleased", "2500"));
    CHECK(bench.value({}, "PoolBytesIn") == "1024");
    CHECK(bench.value({}, "PoolBytes") == "1024");
    CHECK(bench.value({}, "ConditionerBits") == "208"); // 10000 - 17 * 576
}

TEST_CASE("promise 2: a source with credit zero is mixed and never fills the pool") {
    Bench bench;
    const std::string path = bench.fifo("a");
    const unsigned number = bench.add("device:" + path + ",min-entropy=0");
    bench.write_to(path, 7500);
    REQUIRE(bench.wait_for(number, "BytesReleased", "7500"));
    CHECK(bench.value({}, "PoolBytesIn") == "0");
    CHECK(bench.value({}, "ConditionerBits") == "0");
}

TEST_CASE("promise 1: when a source fails its credit is taken back, and another's stays") {
    Bench bench;
    const std::string good = bench.fifo("good"), bad = bench.fifo("bad");
    const unsigned first = bench.add("device:" + good + ",min-entropy=0.1");
    const unsigned second = bench.add("device:" + bad + ",min-entropy=0.1");
    bench.write_to(good, 2500);
    REQUIRE(bench.wait_for(first, "BytesReleased", "2500"));
    bench.write_to(bad, 2500);
    REQUIRE(bench.wait_for(second, "BytesReleased", "2500"));
    // 0.1 bit in units of 1/65536 is 6553 of them, 0.09999 bit a byte: 249.98 bits each.
    CHECK(bench.value({}, "ConditionerBits") == "500");
    bench.write_to(bad, 2500, 0);
    REQUIRE(bench.wait_for(second, "State", "failed"));
    CHECK(bench.value({}, "ConditionerBits") == "250");
    REQUIRE(bench.pipeline.remove_source(first));
    CHECK(bench.value({}, "ConditionerBits") == "0");
}

TEST_CASE("promise 8: a full pool pauses what can be paused, and goes on when bytes are taken") {
    Bench bench(1024);
    const std::string path = bench.fifo("a"), socket = bench.folder + "/egd";
    bench.add("device:" + path + ",min-entropy=8");
    REQUIRE(bench.pipeline.add_listener("unix:" + socket));
    bench.write_to(path, 20000);
    REQUIRE(bench.wait_for({}, "PoolBytes", "1024"));
    // 1,024 bytes take 16 x 72 bytes of input; one more block may be on its way.
    CHECK(std::stoul(bench.value(1u, "BytesTested")) <= 2500 + 2 * 512);

    auto client = connect_unix(socket);
    REQUIRE(client);
    std::vector<Byte> commands;
    for (int i = 0; i < 30; ++i) { // 7,650 bytes, far more than the pool holds
        commands.insert(commands.end(), {2, 255});
    }
    REQUIRE(send(client->get(), commands.data(), commands.size(), 0) == 60);
    REQUIRE(bench.wait_for({}, "PoolBytesOut", "7650"));
}

// The one that waits for 255 bytes is the next, and the other, for 64, would be served if it were not there.
TEST_CASE("promise 7: when a listener or a sink is removed, those who waited for its client are served") {
    Bench bench;
    const std::string path = bench.fifo("a"), one = bench.folder + "/one", two = bench.folder + "/two";
    const unsigned number = bench.add("device:" + path + ",min-entropy=0.24"); // 599 bits, 64 bytes, a block
    REQUIRE(bench.pipeline.add_listener("unix:" + one));
    REQUIRE(bench.pipeline.add_listener("unix:" + two));
    const auto first = connect_unix(one), second = connect_unix(two);
    REQUIRE(first);
    REQUIRE(second);
    const auto ask = [](const Result<Fd>& client, Byte size) {
        const Byte request[] = {2, size};
        REQUIRE(send(client->get(), request, sizeof request, 0) == sizeof request);
    };
    ask(first, 255);
    REQUIRE(bench.wait_for({}, "PoolWaiting", "1"));
    ask(second, 192); // due before the other; its next request is not
    REQUIRE(bench.wait_for({}, "PoolWaiting", "2"));
    for (int block = 1; block <= 4; ++block) { // the first output is the generator's seed
        bench.write_to(path, 2500);
        REQUIRE(bench.wait_for(number, "BytesReleased", std::to_string(block * 2500)));
    }
    REQUIRE(bench.wait_for({}, "PoolBytesOut", "192"));
    ask(second, 64);
    REQUIRE(bench.wait_for({}, "PoolWaiting", "2"));
    bench.write_to(path, 2500);
    REQUIRE(bench.wait_for(number, "BytesReleased", "12500"));
    REQUIRE(bench.value({}, "PoolBytes") == "64");
    REQUIRE(bench.pipeline.remove_listener("unix:" + one));
    CHECK(bench.value({}, "PoolBytes") == "0");
    CHECK(bench.value({}, "PoolBytesOut") == "256");
}

TEST_CASE("sources, listeners and sinks come and go while it runs") {
    Bench bench;
    const std::string a = bench.fifo("a"), b = bench.fifo("b");
    CHECK(bench.add("device:" + a) == 1);
    CHECK(bench.add("device:" + b) == 2);
    CHECK(bench.add("device:" + a) == 1); // known already
    CHECK(bench.pipeline.sources().size() == 2);
    CHECK(*bench.pipeline.find("device:" + b) == 2);
    REQUIRE(bench.pipeline.remove_source(1));
    CHECK(bench.add("device:" + a) == 3); // numbers are not used again

    const std::string one = "unix:" + bench.folder + "/one", two = "unix:" + bench.folder + "/two";
    REQUIRE(bench.pipeline.add_listener(one));
    REQUIRE(bench.pipeline.add_listener(two));
    CHECK(connect_unix(bench.folder + "/one"));
    REQUIRE(bench.pipeline.remove_listener(one));
    CHECK_FALSE(fs::exists(bench.folder + "/one"));
    CHECK(connect_unix(bench.folder + "/two"));

    const std::string sink = "file:" + bench.folder + "/out";
    REQUIRE(bench.pipeline.add_sink(sink));
    CHECK(bench.pipeline.sinks().size() == 1);
    REQUIRE(bench.pipeline.remove_sink(sink));
    CHECK(bench.pipeline.sinks().empty());
}

TEST_CASE("promise 5: what is not there, or not understood, is refused by name and changes nothing") {
    Bench bench;
    const auto said = [](const auto& result) { return result ? std::string("(done)") : result.error().what; };
    CHECK(said(bench.pipeline.find("7")) == "no source has the number, serial or path '7'");
    CHECK(said(bench.pipeline.statistics(7)) == "there is no source number 7");
    CHECK(said(bench.pipeline.remove_source(7)) == "there is no source number 7");
    const std::string there = "device:" + bench.fifo("there");
    CHECK(bench.add(there + ",min-entropy=2") == 1);
    CHECK(said(bench.pipeline.add_source(there + ",min-entropy=3", std::nullopt)) ==
          there + " is a source already, as " + there + ",min-entropy=2: remove it first");
    CHECK(bench.add(there + ",min-entropy=2") == 1);
    CHECK(bench.add(there) == 1);
    REQUIRE(bench.pipeline.remove_source(1));
    CHECK(said(bench.pipeline.add_source("/nonexistent/key", std::nullopt)) ==
          "/nonexistent/key: No such file or directory");
    CHECK(said(bench.pipeline.add_source("/dev/null", "too short")).find("serial=too short") !=
          std::string::npos);
    CHECK(said(bench.pipeline.load_keyring("/nonexistent/keyring")).find("/nonexistent/keyring") !=
          std::string::npos);
    CHECK(said(bench.pipeline.add_directory("/nonexistent")) == "/nonexistent: No such file or directory");
    CHECK(said(bench.pipeline.remove_listener("unix:/x")) == "there is no listener 'unix:/x'");
    CHECK(said(bench.pipeline.remove_sink("kernel")) == "there is no sink 'kernel'");
    CHECK(said(bench.pipeline.add_listener("unix:/nonexistent/deeper/egd")) != "(done)");
    const std::string out = "file:" + bench.folder + "/out";
    REQUIRE(bench.pipeline.add_sink(out + ",rate=100"));
    CHECK(said(bench.pipeline.remove_sink(out)) ==
          "there is no sink '" + out + "': it is called '" + out + ",rate=100'");
    REQUIRE(bench.pipeline.remove_sink(out + ",rate=100"));
    CHECK(bench.pipeline.sources().empty());
    CHECK(bench.pipeline.listeners().empty());
}
