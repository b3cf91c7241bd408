// The Prometheus text format, version 0.0.4, as its page "Exposition formats" describes it.
#include <doctest/doctest.h>

#include <limits>

#include "ekeyd/metrics/exposition.h"
#include "ekeyd/metrics/prometheus.h"

using namespace ekey;
using metrics::Exposition;
using namespace std::chrono_literals;

namespace {
std::size_t count(const std::string& text, const std::string& what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
        ++found;
    }
    return found;
}
} // namespace

TEST_CASE("a family has its help, its type and its samples") {
    Exposition out;
    out.family("a_total", "counter", "What it counts.");
    out.sample({}, 7u);
    out.sample({{"x", "1"}, {"y", "two"}}, 0.5);
    CHECK(out.text() == "# HELP a_total What it counts.\n"
                        "# TYPE a_total counter\n"
                        "a_total 7\n"
                        "a_total{x=\"1\",y=\"two\"} 0.5\n");
}

TEST_CASE("numbers are as exact as they were, and never of this program's locale") {
    CHECK(metrics::number(0.1) == "0.1");
    CHECK(metrics::number(1e300) == "1e+300");
    CHECK(metrics::number(-0.25) == "-0.25");
    CHECK(metrics::number(std::numeric_limits<double>::quiet_NaN()) == "NaN");
    CHECK(metrics::number(std::numeric_limits<double>::infinity()) == "+Inf");
    CHECK(metrics::number(-std::numeric_limits<double>::infinity()) == "-Inf");
    Exposition out;
    out.family("a", "gauge", "h");
    out.sample({}, std::uint64_t{18446744073709551615u});
    CHECK(out.text().ends_with("a 18446744073709551615\n"));
}

TEST_CASE("a label's value cannot break out of its quotes or its line") {
    Exposition out;
    out.family("a", "gauge", "h");
    out.sample({{"x", "q\"b\\n\n\xff"}}, 1);
    CHECK(out.text().ends_with("a{x=\"q\\\"b\\\\n\xef\xbf\xbd\xef\xbf\xbd\"} 1\n"));
}

TEST_CASE("a histogram's buckets count all up to their bound, and the last one counts all") {
    WaitHistogram waits;
    waits.observe(1ms); // on a bound: within it
    waits.observe(700ms);
    waits.observe(2h);
    Exposition out;
    out.family("w_seconds", "histogram", "h");
    out.sample({{"l", "x"}}, waits);
    const std::string& text = out.text();
    CHECK(count(text, "w_seconds_bucket{l=\"x\",le=\"") == WaitHistogram::bounds.size() + 1);
    CHECK(count(text, "w_seconds_bucket{l=\"x\",le=\"0.001\"} 1\n") == 1);
    CHECK(count(text, "w_seconds_bucket{l=\"x\",le=\"0.5\"} 1\n") == 1);
    CHECK(count(text, "w_seconds_bucket{l=\"x\",le=\"1\"} 2\n") == 1);
    CHECK(count(text, "w_seconds_bucket{l=\"x\",le=\"3600\"} 2\n") == 1);
    CHECK(count(text, "w_seconds_bucket{l=\"x\",le=\"+Inf\"} 3\n") == 1);
    CHECK(count(text, "w_seconds_sum{l=\"x\"} 7200.701\n") == 1);
    CHECK(count(text, "w_seconds_count{l=\"x\"} 3\n") == 1);
}

TEST_CASE("waits of several tables add up") {
    WaitHistogram one, other;
    one.observe(1s);
    other.observe(1s);
    other.observe(10min);
    one += other;
    CHECK(one.counts[5] == 2); // up to a second
    CHECK(one.counts[11] == 1);
    CHECK(one.sum == 602s);
}

TEST_CASE("figures that a device does not report are left out, and series never share their labels") {
    metrics::Figures figures;
    figures.sources.resize(2);
    figures.sources[0].number = 1;
    figures.sources[1].number = 2;
    figures.sources[1].device.kelvin = 313.15;
    figures.sinks.resize(2);
    figures.sinks[0].address = figures.sinks[1].address = "kernel";
    const std::string text = metrics::to_prometheus(figures);
    CHECK(count(text, "ekeyd_source_temperature_celsius{") == 1);
    CHECK(count(text, "ekeyd_source_temperature_celsius{source=\"2\",address=\"\"} 40\n") == 1);
    CHECK(count(text, "ekeyd_source_voltage_volts{") == 0);
    CHECK(count(text, "ekeyd_kernel_entropy_available ") == 0);
    CHECK(count(text, "ekeyd_sink_up{sink=\"kernel\"}") == 1);
    CHECK(count(text, "ekeyd_sink_up{sink=\"kernel (2)\"}") == 1);
}
