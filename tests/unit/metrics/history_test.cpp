#include <doctest/doctest.h>

#include <cmath>

#include "ekeyd/metrics/history.h"

using namespace ekey;
using metrics::Figures;
using metrics::History;
using namespace std::chrono_literals;

namespace {

constexpr Time begin = Time(100h);

Figures with(unsigned number, std::uint64_t bytes) {
    Figures figures;
    auto& source = figures.sources.emplace_back();
    source.number = number;
    source.counters.bytes_released = bytes;
    figures.listeners.resize(1);
    figures.listeners[0].address = "unix:/x";
    figures.listeners[0].counters.bytes_served = bytes / 2;
    return figures;
}

} // namespace

TEST_CASE("a point is the rate since the one before, and the hour slides") {
    History history;
    for (unsigned i = 0; i <= History::points + 5; ++i) {
        history.add(with(1, i * i * 10), begin + i * History::step);
    }
    const auto& series = *history.source(1);
    const double last = History::points + 5;
    CHECK(series.back() == doctest::Approx(2 * last - 1)); // (n^2 - (n-1)^2) * 10 bytes in 10 s
    CHECK(series.front() == doctest::Approx(2 * (last - History::points + 1) - 1));
    CHECK(history.served().back() == doctest::Approx((2 * last - 1) / 2));
}

TEST_CASE("what is not known is no number: before the first two points, and of what begins anew") {
    History history;
    CHECK(history.source(1) == nullptr);
    CHECK(std::isnan(history.served().back()));
    history.add(with(1, 1000), begin);
    CHECK(std::isnan(history.source(1)->back()));
    history.add(with(1, 500), begin + 10s);
    CHECK(std::isnan(history.source(1)->back()));
    history.add(with(1, 600), begin + 20s);
    CHECK(history.source(1)->back() == doctest::Approx(10));
}

TEST_CASE("a source that was removed goes with its series: the memory has a bound") {
    History history;
    history.add(with(1, 0), begin);
    history.add(with(2, 0), begin + 10s);
    CHECK(history.source(1) == nullptr);
    CHECK(history.source(2) != nullptr);
}

TEST_CASE("the rate that is told is of the last minute, or of as much as there is") {
    History history;
    Figures figures = with(1, 100);
    history.fill_rates(figures, begin);
    CHECK_FALSE(figures.sources[0].rate);
    history.add(with(1, 100), begin);
    figures = with(1, 300);
    history.fill_rates(figures, begin + 2s);
    REQUIRE(figures.sources[0].rate);
    CHECK(*figures.sources[0].rate == doctest::Approx(100));
    for (unsigned i = 1; i <= 60; ++i) { // 10 B/s for ten minutes, then nothing for half a minute
        history.add(with(1, 100 + 100 * i), begin + i * 10s);
    }
    figures = with(1, 6100);
    history.fill_rates(figures, begin + 630s);
    CHECK(*figures.sources[0].rate == doctest::Approx(500.0 / 80)); // since the point of 550 s
}

TEST_CASE("the rate is of noise that passed: what a failed source sends is none") {
    History history;
    history.add(with(1, 100), begin);
    Figures figures = with(1, 100);
    figures.sources[0].counters.bytes_tested = figures.sources[0].counters.bytes_discarded = 1000000;
    history.fill_rates(figures, begin + 2s);
    REQUIRE(figures.sources[0].rate);
    CHECK(*figures.sources[0].rate == 0);
}

TEST_CASE(
    "what a listener has served lately is known a second after a step, and not of one that was not there") {
    History history;
    history.add(with(1, 200), begin);
    Figures figures = with(1, 260);
    history.fill_rates(figures, begin + 900ms);
    CHECK_FALSE(figures.listeners[0].served_lately);
    history.fill_rates(figures, begin + 1s);
    CHECK(figures.listeners[0].served_lately == 30);
    figures = with(1, 100); // counted anew
    history.fill_rates(figures, begin + 1s);
    CHECK_FALSE(figures.listeners[0].served_lately);
    figures.listeners[0].address = "unix:/another";
    history.fill_rates(figures, begin + 1s);
    CHECK_FALSE(figures.listeners[0].served_lately);
    history.add(with(1, 260), begin + 10s);
    figures = with(1, 260);
    history.fill_rates(figures, begin + 10900ms); // the last step is too new
    CHECK(figures.listeners[0].served_lately == 30);
    history.fill_rates(figures, begin + 11s);
    CHECK(figures.listeners[0].served_lately == 0);
}
