#include "ekeyd/sinks/sink.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "ekeyd/sinks/kernel_sink.h"
#include "tests/support/fake_kernel_pool.h"
#include "tests/support/run_until.h"

using namespace ekey;

namespace {

struct Fixture {
    Fixture() {
        std::signal(SIGPIPE, SIG_IGN);
        char name[] = "/tmp/ekeyd-test-XXXXXX";
        folder = mkdtemp(name);
    }
    ~Fixture() { std::filesystem::remove_all(folder); }

    // Puts bytes that tell their place, so that a repeat or a gap shows.
    void fill(std::size_t count) {
        std::vector<Byte> bytes(count);
        for (Byte& b : bytes) {
            b = byte_at(put++);
        }
        REQUIRE(bytes.size() <= pool.room());
        pool.put(bytes);
        pool.serve();
    }
    static Byte byte_at(std::size_t i) { return static_cast<Byte>(i * 7 + (i >> 8)); }
    // The bytes are those that were put, from `from` on, none twice and none missing.
    static bool follows(const std::string& bytes, std::size_t from = 0) {
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            if (static_cast<Byte>(bytes[i]) != byte_at(from + i)) {
                return false;
            }
        }
        return true;
    }
    Result<std::unique_ptr<Sink>> make(const std::string& text) {
        const auto address = config::parse_address(text);
        if (!address) {
            return tl::unexpected(address.error());
        }
        return make_sink(loop, pool, *address);
    }
    std::unique_ptr<Sink> made(const std::string& text) {
        auto sink = make(text);
        REQUIRE_MESSAGE(sink, (sink ? "" : sink.error().what));
        return std::move(*sink);
    }
    std::string error(const std::string& text) {
        const auto sink = make(text);
        return sink ? "no error" : sink.error().what;
    }
    bool until(std::function<bool()> done, Duration deadline = std::chrono::seconds(10)) {
        return RunUntil::holds(loop, std::move(done), deadline);
    }
    std::string path(const std::string& name) const { return folder + "/" + name; }
    std::string content(const std::string& name) const {
        std::ifstream file(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::unique_ptr<KernelSink> kernel_sink(KernelSink::Options options) {
        return std::make_unique<KernelSink>(loop, pool, "kernel", options,
                                            std::make_unique<FakeKernelPool>(story));
    }

    Loop loop;
    Pool pool{4096};
    std::string folder;
    std::size_t put = 0;
    FakeKernelPool::Story story;
};

using Calls = std::vector<std::string>;

// What shows that nothing happens: several turns of every timer that could make it.
constexpr auto a_while = std::chrono::milliseconds(300);

bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

std::string text_of(const std::vector<Byte>& bytes) {
    return {bytes.begin(), bytes.end()};
}

} // namespace

TEST_CASE_FIXTURE(Fixture, "sink: an address that is wrong is refused with what would be right") {
    CHECK(contains(error("kernal"), "did you mean kernel?"));
    CHECK(contains(error("pipe:/x"), "file:/PATH"));
    CHECK(contains(error("kernel:now"), "kernel takes no"));
    CHECK(contains(error("kernel,interval=0"), "interval"));
    CHECK(contains(error("kernel,interval=nan"), "interval"));
    CHECK(contains(error("kernel,bytes=256"), "32 to 255"));
    CHECK(contains(error("kernel,bytes=31"), "32 to 255"));
    CHECK(contains(error("kernel,credit=9"), "0 to 8"));
    CHECK(contains(error("kernel,credit=-1"), "0 to 8"));
    CHECK(contains(error("kernel,intervall=1"), "did you mean interval?"));
    CHECK(contains(error("file:"), "absolute path"));
    CHECK(contains(error("file:x"), "absolute path"));
    CHECK(contains(error("file:/x,rate=0"), "rate"));
    CHECK(contains(error("file:/nonexistent/x"), "/nonexistent/x"));
    CHECK(contains(error("file:" + folder), folder.c_str()));
    CHECK(contains(error("file:/dev/null"), "no regular file"));
    CHECK(contains(error("fifo:/nonexistent/x"), "/nonexistent/x"));
    CHECK(contains(error("fifo:/dev/null"), "no FIFO"));
    REQUIRE(mkfifo(path("pipe").c_str(), 0600) == 0);
    CHECK(contains(error("file:" + path("pipe")), "write fifo:"));
    std::ofstream(path("plain")) << "x";
    CHECK(contains(error("fifo:" + path("plain")), "write file:"));
    CHECK(pool.turns().empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "kernel sink: the first bytes go in at once, credited; a reseed; the next on time") {
    const auto sink = kernel_sink({.interval = 0.05});
    fill(63);
    CHECK(story.calls.empty());
    fill(1);
    CHECK(story.calls == Calls{"mix 32", "add 64 256", "reseed"});
    CHECK(follows(text_of(story.added)));
    CHECK(sink->bytes_written() == 64);
    CHECK(sink->state() == "ok");
    fill(64);
    CHECK(pool.size() == 64); // until its time has come
    CHECK(until([&] { return sink->bytes_written() == 128; }));
    CHECK(follows(text_of(story.added)));
    CHECK(pool.size() == 0);
}

TEST_CASE_FIXTURE(Fixture, "kernel sink: credit 0 mixes only") {
    const auto sink = kernel_sink({.credit = 0});
    fill(64);
    CHECK(story.calls == Calls{"mix 32", "mix 64", "reseed"});
    CHECK(sink->state() == "ok");
}

TEST_CASE_FIXTURE(Fixture, "kernel sink: missing privilege shows in its state") {
    story.may_credit = false;
    const auto sink = kernel_sink({.bytes = 32, .credit = 8});
    fill(64);
    CHECK(story.calls == Calls{"mix 32", "add 32 256", "reseed"});
    CHECK(contains(sink->state(), "CAP_SYS_ADMIN"));
}

TEST_CASE_FIXTURE(Fixture, "kernel sink: a refusal is a state, and it is tried again") {
    story.broken = true;
    const auto sink = kernel_sink({.interval = 0.02});
    fill(2048);
    CHECK(sink->bytes_written() == 0);
    CHECK(contains(sink->state(), "on fire"));
    story.broken = false;
    CHECK(until([&] { return sink->bytes_written() >= 64 && sink->state() == "ok"; }));
}

TEST_CASE_FIXTURE(Fixture,
                  "kernel sink: an old kernel that asks is served before the timer, if that counts") {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    const Fd reader(ends[0]), writer(ends[1]); // an empty pipe: always writable, as a starved pool is
    story.need_fd = writer.get();
    const auto sink = kernel_sink({.interval = 3600});
    fill(256);
    CHECK(sink->bytes_written() == 64);
    CHECK(until([&] { return sink->bytes_written() == 128; }));
}

TEST_CASE_FIXTURE(Fixture, "kernel sink: an old kernel that is never satisfied, because nothing counts") {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    const Fd reader(ends[0]), writer(ends[1]);
    story.need_fd = writer.get();
    story.may_credit = false;
    const auto sink = kernel_sink({.interval = 3600});
    fill(256);
    CHECK(!until([&] { return sink->bytes_written() > 64; }, std::chrono::milliseconds(1300)));
}

TEST_CASE_FIXTURE(Fixture, "kernel sink: the real kernel takes a push") {
    const auto sink = made("kernel,interval=3600");
    fill(64);
    CHECK(sink->bytes_written() == 64);
    CHECK(sink->address() == "kernel,interval=3600");
}

TEST_CASE_FIXTURE(Fixture, "promise 4: a file has each byte once, and the pool has it no more") {
    const auto sink = made("file:" + path("out"));
    fill(4096);
    CHECK(until([&] { return sink->bytes_written() == 4096; }));
    CHECK(content("out").size() == 4096);
    CHECK(follows(content("out")));
    CHECK(pool.size() == 0);
    struct stat info {};
    REQUIRE(stat(path("out").c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0600);
}

TEST_CASE_FIXTURE(Fixture, "file sink: appends to what is there, and to a new file when that is moved away") {
    std::ofstream(path("out")) << "before";
    const auto sink = made("file:" + path("out"));
    fill(64);
    CHECK(until([&] { return sink->bytes_written() == 64; }));
    CHECK(content("out").substr(0, 6) == "before");
    CHECK(content("out").size() == 70);
    std::filesystem::rename(path("out"), path("old"));
    fill(640);
    CHECK(until([&] { return sink->bytes_written() == 704; }));
    CHECK(follows(content("old").substr(6) + content("out")));
    CHECK(content("out").size() >= 576); // all but a block that it had begun to wait for before
}

TEST_CASE_FIXTURE(Fixture,
                  "promise 7: a file leaves half of the pool to clients, and has its share below that") {
    const auto sink = made("file:" + path("out"));
    fill(4096);
    // More than half is taken at once.
    CHECK(pool.size() <= 2048);
    CHECK(pool.size() > 2048 - 64);
    CHECK(pool.spare() == pool.size()); // it rests: a client that does not wait is served
    const auto before = sink->bytes_written();
    CHECK(until([&] { return sink->bytes_written() == before + 64; }));
}

TEST_CASE_FIXTURE(Fixture, "file sink: rate= is kept") {
    const auto sink = made("file:" + path("out") + ",rate=1280");
    const Time begin = Loop::now();
    fill(4096);
    CHECK(until([&] { return sink->bytes_written() >= 640; }));
    CHECK(Loop::now() - begin >=
          std::chrono::milliseconds(440)); // nine rests of 50 ms, less the timers' grain
}

TEST_CASE_FIXTURE(Fixture,
                  "promise 8: a full disk is a state: nothing is taken meanwhile, no byte lost or doubled") {
    std::signal(SIGXFSZ, SIG_IGN);
    const auto limit = [](rlim_t bytes) {
        rlimit now{};
        getrlimit(RLIMIT_FSIZE, &now);
        now.rlim_cur = bytes;
        REQUIRE(setrlimit(RLIMIT_FSIZE, &now) == 0);
    };
    const auto sink = made("file:" + path("out"));
    limit(100); // the second block is cut short, and its rest refused
    fill(1024);
    CHECK(until([&] { return sink->state() != "ok"; }));
    CHECK(sink->bytes_written() == 100);
    CHECK(pool.size() == 1024 - 128);
    fill(64);
    CHECK(!until([&] { return pool.size() != 1024 - 128 + 64; }, a_while));
    CHECK(pool.turns().empty());
    limit(RLIM_INFINITY);
    CHECK(until([&] { return sink->bytes_written() == 1088; }));
    CHECK(sink->state() == "ok");
    CHECK(follows(content("out")));
    CHECK(content("out").size() == 1088);
}

TEST_CASE_FIXTURE(
    Fixture,
    "fifo sink: takes nothing without a reader, then as it reads; each reader has bytes of its own") {
    const auto sink = made("fifo:" + path("pipe"));
    struct stat info {};
    REQUIRE(stat(path("pipe").c_str(), &info) == 0);
    CHECK(S_ISFIFO(info.st_mode));
    CHECK((info.st_mode & 07777) == 0600);
    CHECK(sink->state() == "no reader");
    fill(2048);
    CHECK(!until([&] { return pool.size() != 2048; }, a_while));

    const auto read_some = [&](const Fd& reader, std::size_t least) {
        std::string got;
        CHECK(until([&] {
            char bytes[512];
            const ssize_t n = ::read(reader.get(), bytes, sizeof bytes);
            got.append(bytes, n > 0 ? static_cast<std::size_t>(n) : 0);
            return got.size() >= least;
        }));
        return got;
    };
    Fd reader(::open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK));
    REQUIRE(reader);
    const std::string first = read_some(reader, 256);
    CHECK(sink->state() == "ok");
    CHECK(follows(first));
    // It stops reading: one block lies in the FIFO, and no more is taken.
    CHECK(until([&] { return sink->bytes_written() == first.size() + 64; }));
    CHECK(!until([&] { return sink->bytes_written() > first.size() + 64; }, a_while));

    reader.reset(); // with an unread block, which nobody will ever have
    CHECK(until([&] { return sink->state() == "no reader"; }));
    const std::size_t gone = sink->bytes_written();
    reader.reset(::open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK));
    const std::string second = read_some(reader, 256);
    CHECK(follows(second, gone));
}

TEST_CASE_FIXTURE(Fixture, "sink: one that goes leaves the queue") {
    auto file = made("file:" + path("out"));
    auto fifo = made("fifo:" + path("pipe"));
    auto kernel = kernel_sink({});
    CHECK(pool.turns().size() == 2);
    file.reset();
    fifo.reset();
    kernel.reset();
    CHECK(pool.turns().empty());
    fill(64);
    CHECK(pool.size() == 64);
}
