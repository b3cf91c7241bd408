#include "ekeyd/ctl/top/view.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "ekeyd/ctl/text.h"
#include "ekeyd/ctl/top/troubles.h"

namespace ekey::ctl {

namespace {

using Lines = std::vector<ViewLine>;
using Style = ViewLine::Style;

std::string decimal(double number, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, number);
    return text;
}

// In powers of 1,000, three digits or so.
std::string amount(std::optional<double> bytes, const char* unit) {
    if (!bytes) {
        return "-";
    }
    constexpr const char* prefixes[] = {"", "k", "M", "G", "T", "P"};
    double value = *bytes;
    std::size_t i = 0;
    while (value >= 999.5 && i + 1 < std::size(prefixes)) {
        value /= 1000;
        ++i;
    }
    return decimal(value, i == 0 || value >= 99.95 ? 0 : 1) + ' ' + prefixes[i] + unit;
}

std::string figure(std::optional<double> number, int digits = 0, const char* unit = "") {
    return number ? decimal(*number, digits) + unit : "-";
}

// Columns: a positive width is filled on the left, a negative one on the right.
class Row {
  public:
    Row& add(int width, std::string_view text) {
        const auto columns = static_cast<std::size_t>(std::abs(width));
        const std::string fill(columns > text.size() ? columns - text.size() : 0, ' ');
        text_ += "  " + (width > 0 ? fill : "") + std::string(text) + (width < 0 ? fill : "");
        return *this;
    }
    std::string take() {
        text_.erase(text_.find_last_not_of(' ') + 1);
        return std::move(text_);
    }

  private:
    std::string text_;
};

void add_pool(const Sample& now, const Sample* before, double seconds, Lines& lines) {
    constexpr double bar_width = 20;
    const double size = now.daemon.number("PoolBytes").value_or(0);
    const double capacity = now.daemon.number("PoolCapacity").value_or(0);
    const double part = capacity > 0 ? std::clamp(size / capacity, 0.0, 1.0) : 0;
    const auto filled = static_cast<std::size_t>(std::lround(part * bar_width));
    std::string bar(filled, '#');
    bar.resize(static_cast<std::size_t>(bar_width), '.');
    const Fields* old = before == nullptr ? nullptr : &before->daemon;
    lines.push_back({Style::plain,
                     "Pool [" + bar + "] " + decimal(part * 100, 0) + " %" + " of " + amount(capacity, "B") +
                         ", in " + amount(rate(now.daemon, old, "PoolBytesIn", seconds), "B/s") + ", out " +
                         amount(rate(now.daemon, old, "PoolBytesOut", seconds), "B/s") + ", waiting " +
                         figure(now.daemon.number("PoolWaiting"))});
}

void add_troubles(const Sample& now, const Sample* before, Lines& lines) {
    const auto all = troubles(now, before);
    if (all.empty()) {
        lines.push_back({Style::plain, "Nothing is wrong."});
    }
    for (const std::string& one : all) {
        lines.push_back({Style::trouble, "! " + one});
    }
}

std::string source_row(const SourceSample& source, const SourceSample* before, double seconds) {
    const Fields& health = source.health;
    const std::string serial = clean_ascii(health.text("SerialNo"));
    return Row()
        .add(3, clean_ascii(health.text("Source")))
        .add(-21, clean_ascii(health.text("Status")))
        .add(10, amount(rate(health, before == nullptr ? nullptr : &before->health, "BytesReleased", seconds),
                        "B/s"))
        .add(8, amount(health.number("BytesReleased"), "B"))
        .add(6, figure(health_failures(health)))
        .add(6, figure(health.number("FipsBlocksFailed")))
        .add(7, figure(source.statistics.number("KeyTemperatureC"), 1, " C"))
        .add(6, figure(source.statistics.number("KeyVoltage"), 2, " V"))
        .add(-1, (serial.empty() ? "" : serial + " ") + clean_ascii(health.text("Path")))
        .take();
}

void add_sources(const Sample& now, const Sample* before, double seconds, Lines& lines) {
    const std::string head = Row()
                                 .add(3, "NR")
                                 .add(-21, "STATUS")
                                 .add(10, "RATE")
                                 .add(8, "TOTAL")
                                 .add(6, "FAILED")
                                 .add(6, "FIPS")
                                 .add(7, "TEMP")
                                 .add(6, "SUPPLY")
                                 .add(-1, "SOURCE")
                                 .take();
    lines.push_back({Style::heading, head});
    for (const SourceSample& source : now.sources) {
        lines.push_back({Style::plain, source_row(source, same(before, source), seconds)});
    }
}

void add_listeners(const Sample& now, const Sample* before, double seconds, Lines& lines) {
    lines.push_back({Style::heading, Row()
                                         .add(7, "CLIENTS")
                                         .add(7, "WAITING")
                                         .add(10, "REQUESTS")
                                         .add(10, "RATE")
                                         .add(8, "TOTAL")
                                         .add(7, "REFUSED")
                                         .add(-1, "LISTENER")
                                         .take()});
    for (const OutletSample& listener : now.listeners) {
        const Fields& c = listener.counters;
        const Fields* old = before == nullptr ? nullptr : same_counters(before->listeners, listener);
        lines.push_back({Style::plain, Row()
                                           .add(7, figure(c.number("clients")))
                                           .add(7, figure(c.number("waiting")))
                                           .add(10, figure(rate(c, old, "requests", seconds), 1, "/s"))
                                           .add(10, amount(rate(c, old, "bytes", seconds), "B/s"))
                                           .add(8, amount(c.number("bytes"), "B"))
                                           .add(7, figure(c.number("refused")))
                                           .add(-1, clean_ascii(listener.address))
                                           .take()});
    }
}

void add_sinks(const Sample& now, const Sample* before, double seconds, Lines& lines) {
    lines.push_back(
        {Style::heading, Row().add(10, "RATE").add(8, "TOTAL").add(-1, "SINK, AND HOW IT IS").take()});
    for (const OutletSample& sink : now.sinks) {
        const Fields* old = before == nullptr ? nullptr : same_counters(before->sinks, sink);
        lines.push_back({Style::plain, Row()
                                           .add(10, amount(rate(sink.counters, old, "bytes", seconds), "B/s"))
                                           .add(8, amount(sink.counters.number("bytes"), "B"))
                                           .add(-1, clean_ascii(sink.address) + ": " +
                                                        clean_ascii(sink.counters.text("state")))
                                           .take()});
    }
}

} // namespace

std::vector<ViewLine> view(const Sample& now, const Sample* before) {
    const double seconds = before == nullptr ? 0 : std::chrono::duration<double>(now.at - before->at).count();
    Lines lines;
    lines.push_back({Style::heading, clean_ascii(now.version)});
    add_pool(now, before, seconds, lines);
    add_troubles(now, before, lines);
    lines.push_back({Style::plain, ""});
    add_sources(now, before, seconds, lines);
    if (!now.listeners.empty()) {
        lines.push_back({Style::plain, ""});
        add_listeners(now, before, seconds, lines);
    }
    if (!now.sinks.empty()) {
        lines.push_back({Style::plain, ""});
        add_sinks(now, before, seconds, lines);
    }
    return lines;
}

} // namespace ekey::ctl
