#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/sources/device.h"
#include "recording_owner.h"

using namespace ekey;
using test::RecordingOwner;
namespace fs = std::filesystem;

namespace {

struct Folder {
    std::string path;
    Folder() {
        char name[] = "/tmp/ekeyd-device-test-XXXXXX";
        path = mkdtemp(name);
    }
    ~Folder() { fs::remove_all(path); }
};

struct Bench {
    Folder folder;
    std::string fifo = folder.path + "/fifo";
    Loop loop;
    RecordingOwner owner{loop};
    Bench() { REQUIRE(mkfifo(fifo.c_str(), 0600) == 0); }
};

} // namespace

TEST_CASE("a FIFO's bytes arrive in their order, all of them") {
    Bench bench;
    Device device(bench.loop, bench.fifo);
    REQUIRE(device.start(bench.owner, true));
    CHECK(bench.owner.restarts == 1);
    const Fd writer(open(bench.fifo.c_str(), O_WRONLY | O_CLOEXEC));
    REQUIRE(writer);
    std::vector<Byte> sent(5000);
    std::iota(sent.begin(), sent.end(), Byte{0});
    REQUIRE(write(writer.get(), sent.data(), sent.size()) == 5000);
    REQUIRE(bench.owner.wait_until([&] { return bench.owner.samples.size() >= sent.size(); }));
    CHECK(bench.owner.samples == sent);
    CHECK(device.status().ok);
    CHECK(device.status().word == "Running OK");
}

TEST_CASE("a paused device is left alone: what it holds stays there for later") {
    Bench bench;
    Device device(bench.loop, bench.fifo);
    REQUIRE(device.start(bench.owner, true));
    const Fd writer(open(bench.fifo.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    const std::vector<Byte> sent(4000, 1);
    REQUIRE(write(writer.get(), sent.data(), sent.size()) == 4000);
    REQUIRE(bench.owner.wait_until([&] {
        if (!bench.owner.samples.empty()) {
            device.pause(true); // from within on_samples, as a full pool does
        }
        return !bench.owner.samples.empty();
    }));
    int left = 0;
    REQUIRE(ioctl(writer.get(), FIONREAD, &left) == 0);
    CHECK(static_cast<std::size_t>(left) + bench.owner.samples.size() == sent.size());
    CHECK(bench.owner.samples.size() <= 512);
    device.pause(false);
    CHECK(bench.owner.wait_until([&] { return bench.owner.samples.size() == sent.size(); }));
}

TEST_CASE("a regular file is no source of noise: it fails, and says why") {
    Bench bench;
    const std::string path = bench.folder.path + "/bytes";
    std::ofstream(path) << std::string(10000, 'x');
    Device device(bench.loop, path);
    REQUIRE(device.start(bench.owner, true));
    REQUIRE(bench.owner.failures.size() == 1);
    CHECK(bench.owner.failures[0].first == health::Failure::device);
    CHECK(bench.owner.failures[0].second ==
          path + ": is neither a character device nor a FIFO: what a file holds is not noise");
    CHECK(bench.owner.samples.empty());
    CHECK_FALSE(device.status().ok);
}

TEST_CASE("a device that is not there is an error when asked for, and waited for when configured") {
    Bench bench;
    {
        Device device(bench.loop, "/nonexistent/hwrng");
        const auto started = device.start(bench.owner, true);
        REQUIRE_FALSE(started);
        CHECK(started.error().what == "/nonexistent/hwrng: No such file or directory");
    }
    Device device(bench.loop, "/nonexistent/hwrng");
    REQUIRE(device.start(bench.owner, false));
    CHECK(bench.owner.failures.back().first == health::Failure::silence);
    CHECK_FALSE(device.status().ok);
}

TEST_CASE("/dev/zero is read like any device; the health tests are what stops it") {
    Bench bench;
    Device device(bench.loop, "/dev/zero");
    REQUIRE(device.start(bench.owner, true));
    REQUIRE(bench.owner.wait_until([&] { return bench.owner.samples.size() >= 4096; }));
    CHECK(bench.owner.samples[0] == 0);
}

TEST_CASE("/dev/null ends at once: the device has failed") {
    Bench bench;
    Device device(bench.loop, "/dev/null");
    REQUIRE(device.start(bench.owner, true));
    REQUIRE(bench.owner.wait_until([&] { return !bench.owner.failures.empty(); }));
    CHECK(bench.owner.failures[0].second == "/dev/null: end of file");
}

TEST_CASE("a device can be destroyed while its thread waits for bytes") {
    Bench bench;
    for (int i = 0; i < 50; ++i) {
        Device device(bench.loop, bench.fifo);
        REQUIRE(device.start(bench.owner, true));
    }
    CHECK(bench.owner.restarts == 50);
}
