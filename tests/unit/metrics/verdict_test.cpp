#include <doctest/doctest.h>

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

TEST_CASE("promise 3: not ready while unseeded, without a source, or without a healthy one") {
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
    figures.sources.clear();
    CHECK(metrics::why_not_ready(figures) == "there is no source");
}

TEST_CASE("one failed source of two is trouble, and the daemon is ready all the same") {
    Figures figures = good();
    auto bad = figures.sources[0];
    bad.number = 2;
    bad.status.ok = false;
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

TEST_CASE("what a device says of itself, sinks that take nothing, and clients that wait are told") {
    Figures figures = good();
    figures.sources[0].device.failure = "left generator is no longer random";
    figures.sinks.push_back({"file:/x", "No space left on device", 0});
    auto& listener = figures.listeners.emplace_back();
    listener.address = "tcp:127.0.0.1:8888";
    listener.counters.waiting = 3;
    const auto all = metrics::troubles(figures);
    CHECK(all.size() == 3);
    CHECK(has(all, "left generator is no longer random"));
    CHECK(has(all, "Sink file:/x: No space left on device"));
    CHECK(has(all, "3 clients of tcp:127.0.0.1:8888 wait"));
}
