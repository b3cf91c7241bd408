#include <doctest/doctest.h>

#include <string>

#include <fcntl.h>
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
    ~StandardError() { dup2(saved_.get(), STDERR_FILENO); }
    std::string text() const {
        char buffer[4096];
        const ssize_t got = read(reader_.get(), buffer, sizeof buffer);
        return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "";
    }

  private:
    Fd reader_, saved_;
};

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
