#include <doctest/doctest.h>

#include <limits>

#include "ekeyd/http/page.h"
#include "ekeyd/http/plot.h"
#include "ekeyd/http/units.h"

using namespace ekey;
using namespace ekey::http;
using namespace std::chrono_literals;

TEST_CASE("numbers as people read them") {
    CHECK(bytes(0) == "0\xc2\xa0"
                      "B");
    CHECK(bytes(999) == "999\xc2\xa0"
                        "B");
    CHECK(bytes(999.7) == "1.00\xc2\xa0kB");
    CHECK(bytes(3072) == "3.07\xc2\xa0kB");
    CHECK(bytes(65536) == "65.5\xc2\xa0kB");
    CHECK(bytes(1e12) == "1.00\xc2\xa0TB");
    CHECK(bytes(1e30).ends_with("PB"));
    CHECK(rate(std::numeric_limits<double>::quiet_NaN()) == "\xe2\x80\x93");
    CHECK(count(0) == "0");
    CHECK(count(1234567) == "1\xe2\x80\xaf"
                            "234\xe2\x80\xaf"
                            "567");
    CHECK(span(59s) == "59\xc2\xa0s");
    CHECK(span(3h + 5min) == "3\xc2\xa0h 5\xc2\xa0min");
    CHECK(span(24h * 40 + 2h) == "40\xc2\xa0"
                                 "d 2\xc2\xa0h");
    CHECK(nice_top(1) == 1);
    CHECK(nice_top(1.01) == 1.5);
    CHECK(nice_top(65536) == doctest::Approx(80000));
    CHECK(nice_top(9e9) == doctest::Approx(1e10));
}

TEST_CASE("a curve has a gap where nothing is known, and stays in its field") {
    metrics::History::Series series;
    series.fill(std::numeric_limits<float>::quiet_NaN());
    const std::string empty = plot("x", series, bytes, 100);
    CHECK(empty.find("class=\"line\"") == std::string::npos);
    series[10] = series[11] = 50;
    series[20] = 1e9f;
    series[359] = 0;
    const std::string drawn = plot("<x>", series, bytes, 100);
    const auto line = drawn.substr(drawn.find("class=\"line\""));
    CHECK(std::count(line.begin(), line.end(), 'M') == 3);
    CHECK(line.find("nan") == std::string::npos);
    CHECK(drawn.find("&lt;x&gt;") != std::string::npos);
    CHECK(drawn.find("<x>") == std::string::npos);
}

TEST_CASE("promise 5: what a device, a file or a sink says is text on the page, never HTML") {
    const std::string evil = "<img src=x onerror=alert(1)>\"'&";
    metrics::Figures figures;
    auto& source = figures.sources.emplace_back();
    source.address = source.status.path = source.status.serial = source.status.word = evil;
    source.detail = source.device.failure = evil;
    source.device.session.emplace(DeviceFigures::Session{}).state = evil;
    figures.listeners.push_back({evil, {}, true, {}});
    figures.sinks.push_back({evil, evil, 0});
    figures.host = figures.version = evil;
    metrics::History history;
    history.add(figures, Time(1h));
    const std::string html = page(figures, history, 0);
    CHECK(html.find("<img") == std::string::npos);
    CHECK(html.find("'&") == std::string::npos);
    CHECK(html.find("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;") != std::string::npos);
    CHECK(html.find("<script") == std::string::npos);
}
