#include <doctest/doctest.h>

#include "ekeyd/metrics/meanings.h"
#include "ekeyd/metrics/verdict.h"

using namespace ekey;
using metrics::Figures;

namespace {

Figures good() {
    Figures figures;
    auto& source = figures.sources.emplace_back();
    source.number = 1;
    source.address = "entropykey:/dev/ttyACM0";
    source.status = {true, "Running OK", "/dev/ttyACM0", "AAAA"};
    source.health = health::State::healthy;
    source.min_entropy = 7;
    figures.pool.bytes_in = 64;
    return figures;
}

bool has(const std::vector<std::string>& all, const std::string& part) {
    for (const std::string& one : all) {
        if (one.find(part) != std::string::npos) {
            return true;
        }
    }
    return false;
}

} // namespace

TEST_CASE("seeded and with a healthy source it is ready, and nothing is wrong") {
    CHECK(metrics::why_not_ready(good()).empty());
    CHECK(metrics::troubles(good()).empty());
}

TEST_CASE("promise 3: not ready while unseeded, without a source, or without a healthy one that counts") {
    Figures figures = good();
    figures.pool.bytes_in = 0;
    CHECK(metrics::why_not_ready(figures) == "not seeded: no source has delivered enough yet");
    figures = good();
    figures.sources[0].health = health::State::failed;
    figures.sources[0].status.ok = false;
    CHECK(metrics::why_not_ready(figures) == "no source is healthy");
    figures = good();
    figures.sources[0].status.ok = false; // the device is gone, and the tests do not know
    CHECK(metrics::why_not_ready(figures) == "no source is healthy");
    // One that is mixed in only fills no pool, however healthy it is.
    auto uncredited = good().sources[0];
    uncredited.number = 2;
    uncredited.min_entropy = 0;
    figures.sources.push_back(uncredited);
    CHECK(metrics::why_not_ready(figures).starts_with("no source that counts is healthy"));
    figures.sources[0].status.ok = true;
    CHECK(metrics::why_not_ready(figures).empty());
    figures.sources.clear();
    CHECK(metrics::why_not_ready(figures).starts_with("there is no source"));
}

TEST_CASE("one failed source of two is trouble, and the daemon is ready all the same") {
    Figures figures = good();
    auto bad = figures.sources[0];
    bad.number = 2;
    bad.status = {false, "Health test failed", "/dev/ttyACM1", "BBBB"};
    bad.health = health::State::failed;
    bad.failure = health::Failure::repetition;
    bad.detail = "a byte came 9 times in a row";
    figures.sources.push_back(bad);
    CHECK(metrics::why_not_ready(figures).empty());
    const auto all = metrics::troubles(figures);
    REQUIRE(all.size() == 1);
    CHECK(has(all, "Source 2"));
    CHECK(has(all, "repetition count"));
    CHECK(has(all, "9 times in a row"));
}

TEST_CASE("the status word names the cause, whatever failed beside it") {
    const auto meaning = [](const char* status, const char* failure, const char* detail) {
        return metrics::meaning(status, failure, detail, "/dev/a");
    };
    const char* const silent = "no noise came for 10 seconds";
    CHECK(meaning("Serial unknown", "silence", silent) ==
          "its long-term key is not in the keyring: see ekey-rekey(8)");
    CHECK(meaning("Long-Term-Key is bad", "silence", silent) ==
          "the keyring has a wrong long-term key of it: see ekey-rekey(8)");
    CHECK(meaning("No answer", "silence", silent).starts_with("it is there, and says nothing at all"));
    CHECK(meaning("Framing errors", "silence", silent).starts_with("what it sends arrives broken"));
    CHECK(meaning("Stalled", "silence", silent).starts_with("the USB device refuses"));
    CHECK(meaning("Silent", "silence", silent) ==
          "it is there, and no noise comes from it (no noise came for 10 seconds)");
    CHECK(meaning("Health test failed", "repetition count", "9 equal bytes") ==
          "what it sends is no noise; it is tried again, less and less often (repetition count: 9 equal "
          "bytes)");
    // It failed a test, and was unplugged then.
    CHECK(meaning("Key closed. (Vanished?)", "repetition count", "9 equal bytes") ==
          "it is unplugged, or cannot be opened; it is looked for");
    CHECK(meaning("Closed", "silence", "/dev/a: No such file or directory") ==
          "it cannot be opened or read; it is tried again (No such file or directory)");
    CHECK(metrics::meaning("Closed", "silence", "/dev/b: no", "tty:/dev/b") ==
          "it cannot be opened or read; it is tried again (no)");
    CHECK(meaning("Away: cannot connect: Connection refused", "silence", "egd:unix:/x: cannot connect") ==
          "it cannot be reached, and is tried again (cannot connect: Connection refused)");
    CHECK(meaning("A new word", "none", "") == "A new word");
    CHECK(meaning("Startup test", "none", "").empty());
}

TEST_CASE("what a device says of itself, sinks that take nothing, and clients that wait in vain are told") {
    Figures figures = good();
    figures.sources[0].device.failure = "left generator is no longer random";
    figures.sinks.push_back({"file:/x", "No space left on device", 0});
    auto& listener = figures.listeners.emplace_back();
    listener.address = "tcp:127.0.0.1:8888";
    listener.counters.waiting = 3;
    listener.served_lately = 0;
    figures.pool.size = 16; // less than they ask for
    const auto all = metrics::troubles(figures);
    CHECK(all.size() == 3);
    CHECK(has(all, "left generator is no longer random"));
    CHECK(has(all, "Sink file:/x: No space left on device"));
    CHECK(has(all, "3 clients of tcp:127.0.0.1:8888 wait, and are served nothing"));
}

TEST_CASE("a source whose path stands for a serial number is named once") {
    Figures figures = good();
    figures.sources[0].address = "device:/dev/hwrng,min-entropy=2";
    figures.sources[0].status = {false, "Silent", "device:/dev/hwrng", "device:/dev/hwrng"};
    CHECK(has(metrics::troubles(figures), "Source 1 (device:/dev/hwrng,min-entropy=2): it is there"));
}

TEST_CASE("clients that share an empty pool, and who has just begun to wait, are nothing wrong") {
    Figures figures = good();
    auto& listener = figures.listeners.emplace_back();
    listener.address = "unix:/x";
    listener.counters.waiting = 2;
    CHECK(metrics::troubles(figures).empty()); // not known yet
    listener.served_lately = 1;
    CHECK(metrics::troubles(figures).empty());
    listener.served_lately = 0;
    listener.counters.waiting = 0;
    CHECK(metrics::troubles(figures).empty());
    listener.counters.waiting = 1;
    CHECK(has(metrics::troubles(figures), "A client of unix:/x waits, and is served nothing."));
}
