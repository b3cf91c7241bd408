#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/log.h"

using namespace ekey;

namespace {

// What is written to standard error during its life.
class StandardError {
  public:
    StandardError() {
        int ends[2];
        REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
        reader_.reset(ends[0]);
        const Fd writer(ends[1]);
        saved_.reset(dup(STDERR_FILENO));
        dup2(writer.get(), STDERR_FILENO);
    }
    ~StandardError() {
        log::open(log::Target::standard_error, "test", log::Level::info); // tells its repeats, if any, here
        dup2(saved_.get(), STDERR_FILENO);
    }
    // As systemd.exec(5) says: device and inode, decimal.
    static std::string stream() {
        struct stat about {};
        fstat(STDERR_FILENO, &about);
        return std::to_string(about.st_dev) + ':' + std::to_string(about.st_ino);
    }
    std::string text() const {
        char buffer[4096];
        const ssize_t got = read(reader_.get(), buffer, sizeof buffer);
        return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "";
    }

  private:
    Fd reader_, saved_;
};

// JOURNAL_STREAM during its life.
struct JournalStream {
    explicit JournalStream(const std::string& value) { setenv("JOURNAL_STREAM", value.c_str(), 1); }
    ~JournalStream() { unsetenv("JOURNAL_STREAM"); }
};

Time time_now{};
Time now() {
    return time_now;
}

} // namespace

TEST_CASE("a line is an event and its fields") {
    const StandardError err;
    log::open(log::Target::standard_error, "test", log::Level::info);
    log::info("source added", {{"path", "/dev/ttyACM0"}, {"number", 3}});
    CHECK(err.text() == "test: source added path=/dev/ttyACM0 number=3\n");
}

TEST_CASE("promise 5: bytes from outside cannot forge a line or a field") {
    const StandardError err;
    log::open(log::Target::standard_error, "test", log::Level::info);
    log::warning("refused", {{"from", "a\nekeyd: source added"}, {"name", "x y=\"1\""}, {"none", ""}});
    CHECK(err.text() ==
          "test: refused from=\"a\\x0aekeyd: source added\" name=\"x y=\\\"1\\\"\" none=\"\"\n");
    log::warning("a\x9b\xff", {{"key", "AAAA="}, {"mode", "unix:/x,mode=0600"}});
    CHECK(err.text() == "test: a\\x9b\\xff key=\"AAAA=\" mode=\"unix:/x,mode=0600\"\n");
}

TEST_CASE("a repeated line is counted, not repeated") {
    const StandardError err;
    log::open(log::Target::standard_error, "test", log::Level::info);
    for (int i = 0; i < 1000; ++i) {
        log::error("disk full", {{"path", "/x"}});
    }
    log::info("other");
    CHECK(err.text() == "test: disk full path=/x\n"
                        "test: the line before was repeated repeated=999\n"
                        "test: other\n");
}

TEST_CASE("the count of repeats has the level of the line that was repeated") {
    const StandardError err;
    const JournalStream journal(StandardError::stream());
    log::open(log::Target::standard_error, "test", log::Level::info);
    log::error("disk full");
    log::error("disk full");
    log::info("other");
    log::warning("other"); // another event, as it has another level
    CHECK(err.text() == "<3>disk full\n"
                        "<3>the line before was repeated repeated=1\n"
                        "<6>other\n"
                        "<4>other\n");
}

TEST_CASE("what goes on for more than a minute is told of again, with the number of times") {
    const StandardError err;
    log::open(log::Target::standard_error, "test", log::Level::info, now);
    for (int i = 0; i <= 60; ++i) {
        log::error("disk full");
        time_now += std::chrono::seconds(1);
    }
    CHECK(err.text() == "test: disk full\n"
                        "test: the line before was repeated repeated=59\n"
                        "test: disk full\n");
    time_now += std::chrono::hours(1);
    log::error("disk full");
    CHECK(err.text() == "test: disk full\n");
}

TEST_CASE("who asks gets a line, though it says the same as the one before") {
    const StandardError err;
    log::open(log::Target::standard_error, "test", log::Level::info);
    log::answer(log::Level::error, "not reloaded", {{"reason", "F:1"}});
    log::answer(log::Level::error, "not reloaded", {{"reason", "F:1"}});
    CHECK(err.text() == "test: not reloaded reason=F:1\ntest: not reloaded reason=F:1\n");
    log::answer(log::Level::debug, "unwanted");
    CHECK(err.text().empty());
}

TEST_CASE("a line that was lost is not taken for one that was written") {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    const Fd reader(ends[0]), writer(ends[1]), saved(dup(STDERR_FILENO));
    REQUIRE(fcntl(writer.get(), F_SETPIPE_SZ, 4096) == 4096);
    dup2(writer.get(), STDERR_FILENO);
    const std::string full(4096, 'x');
    REQUIRE(write(writer.get(), full.data(), full.size()) == 4096);
    log::open(log::Target::standard_error, "test", log::Level::info);
    log::error("disk full");
    log::error("disk full");
    std::string text(4096, '\0');
    REQUIRE(read(reader.get(), text.data(), text.size()) == 4096);
    log::error("disk full");
    const ssize_t got = read(reader.get(), text.data(), text.size());
    dup2(saved.get(), STDERR_FILENO);
    log::open(log::Target::standard_error, "test", log::Level::info);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    CHECK(text == "test: lines of the log were lost, its reader took none lost=2\ntest: disk full\n");
}

// systemd.exec(5), JOURNAL_STREAM: programs compare it with the device and inode of their standard error.
TEST_CASE("priorities are for the journal, and not for another file that inherited its variable") {
    const StandardError err;
    const std::string stream = StandardError::stream();
    for (const std::string& other : {std::string("8:1"), std::string(), stream + "0", "1" + stream}) {
        const JournalStream journal(other);
        log::open(log::Target::standard_error, "test", log::Level::info);
        log::info("event");
        CHECK(err.text() == "test: event\n");
    }
    const JournalStream journal(stream);
    log::open(log::Target::standard_error, "test", log::Level::info);
    log::info("event");
    CHECK(err.text() == "<6>event\n");
}

TEST_CASE("what keeps it from starting: a sentence for a person, an event for the journal") {
    const StandardError err;
    const std::string sentence = "/etc/x:3: unknown option \"lisen\"\x1b";
    log::open(log::Target::standard_error, "test", log::Level::error);
    log::fault(sentence);
    CHECK(err.text() == "test: /etc/x:3: unknown option \"lisen\"\\x1b\n");
    const JournalStream journal(StandardError::stream());
    log::open(log::Target::standard_error, "test", log::Level::error);
    log::fault(sentence);
    CHECK(err.text() == "<3>cannot go on reason=\"/etc/x:3: unknown option \\\"lisen\\\"\\x1b\"\n");
}

TEST_CASE("promise 8: a full pipe that nobody reads loses lines, and never waits; they are counted") {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0); // blocking, as a shell's pipe is
    const Fd reader(ends[0]), writer(ends[1]), saved(dup(STDERR_FILENO));
    REQUIRE(fcntl(writer.get(), F_SETPIPE_SZ, 4096) == 4096);
    dup2(writer.get(), STDERR_FILENO);
    log::open(log::Target::standard_error, "test", log::Level::info);
    for (int i = 0; i < 1000; ++i) {
        log::info("event", {{"number", i}});
    }
    const int flags = fcntl(STDERR_FILENO, F_GETFL);
    std::string text(4096, '\0');
    REQUIRE(read(reader.get(), text.data(), text.size()) > 3000);
    log::info("last");
    const ssize_t got = read(reader.get(), text.data(), text.size());
    dup2(saved.get(), STDERR_FILENO);
    log::open(log::Target::standard_error, "test", log::Level::info);

    CHECK((flags & O_NONBLOCK) == 0); // the descriptor may be shared with others
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    CHECK(text.find("test: lines of the log were lost, its reader took none lost=") == 0);
    CHECK(text.ends_with("\ntest: last\n"));
}

TEST_CASE("lines above the level are not written") {
    const StandardError err;
    log::open(log::Target::standard_error, "test", log::Level::warning);
    log::info("unwanted");
    log::debug("unwanted");
    CHECK(err.text().empty());
}

TEST_CASE("levels have names, and another name is refused with the list") {
    CHECK(*log::parse_level("debug") == log::Level::debug);
    const auto bad = log::parse_level("loud");
    REQUIRE_FALSE(bad);
    CHECK(bad.error().what == "log-level: 'loud' is none of error, warning, notice, info, debug");
}
