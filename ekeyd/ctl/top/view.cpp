#include "ekeyd/ctl/top/view.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "ekeyd/ctl/text.h"
#include "ekeyd/ctl/top/table.h"
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

void add_table(const Table& table, std::size_t width, Lines& lines) {
    Style style = Style::heading;
    for (std::string& line : table.lines(width)) {
        lines.push_back({std::exchange(style, Style::plain), std::move(line)});
    }
}

void add_pool(const Sample& now, const Sample* before, double seconds, std::size_t width, Lines& lines) {
    constexpr double bar_width = 20;
    const double size = now.daemon.number("PoolBytes").value_or(0);
    const double capacity = now.daemon.number("PoolCapacity").value_or(0);
    const double part = capacity > 0 ? std::clamp(size / capacity, 0.0, 1.0) : 0;
    const auto filled = static_cast<std::size_t>(std::lround(part * bar_width));
    std::string bar(filled, '#');
    bar.resize(static_cast<std::size_t>(bar_width), '.');
    const Fields* old = before == nullptr ? nullptr : &before->daemon;
    std::string line = "Pool [" + bar + "] " + decimal(part * 100, 0) + " %" + " of " +
                       amount(capacity, "B") + ", in " +
                       amount(rate(now.daemon, old, "PoolBytesIn", seconds), "B/s") + ", out " +
                       amount(rate(now.daemon, old, "PoolBytesOut", seconds), "B/s") + ", waiting " +
                       figure(now.daemon.number("PoolWaiting"));
    if (const auto bits = now.daemon.number("KernelEntropyBits")) {
        line += "; kernel's pool " + figure(bits) + " of " + figure(now.daemon.number("KernelPoolBits")) +
                " bits";
    }
    for (std::string& one : wrap(line, width, 2)) {
        lines.push_back({Style::plain, std::move(one)});
    }
}

void add_troubles(const Sample& now, const Sample* before, std::size_t width, Lines& lines) {
    const auto all = troubles(now, before);
    if (all.empty()) {
        lines.push_back({Style::plain, "Nothing is wrong."});
    }
    for (const std::string& trouble : all) {
        for (std::string& one : wrap("! " + trouble, width, 2)) {
            lines.push_back({Style::trouble, std::move(one)});
        }
    }
}

void add_sources(const Sample& now, const Sample* before, double seconds, std::size_t width, Lines& lines) {
    // The longest status word is that of a vanished key; one that says why it is away is told in full above.
    constexpr std::size_t longest_status = std::string_view("Key closed. (Vanished?)").size();
    Table table({{"NR", 3, 10, false, 0},
                 {"STATUS", 10, longest_status, true, 0},
                 {"SESSION", 7, 12, true, 1},
                 {"RATE", 10, 12, false, 0},
                 {"TOTAL", 8, 12, false, 2},
                 {"FAILED", 6, 12, false, 0},
                 {"FIPS", 6, 12, false, 3},
                 {"TEMP", 7, 12, false, 4},
                 {"SUPPLY", 6, 12, false, 5}},
                "SOURCE");
    for (const SourceSample& source : now.sources) {
        const Fields& health = source.health;
        const SourceSample* const old = same(before, source);
        const std::string serial = clean_ascii(health.text("SerialNo"));
        const std::string path = clean_ascii(health.text("Path")),
                          session = clean_ascii(health.text("Session"));
        table.add(
            {clean_ascii(health.text("Source")), clean_ascii(health.text("Status")),
             session.empty() ? "-" : session,
             amount(rate(health, old == nullptr ? nullptr : &old->health, "BytesReleased", seconds), "B/s"),
             amount(health.number("BytesReleased"), "B"), figure(health_failures(health)),
             figure(health.number("FipsBlocksFailed")),
             figure(source.statistics.number("KeyTemperatureC"), 1, " C"),
             figure(source.statistics.number("KeyVoltage"), 2, " V")},
            serial.empty() ? path : serial, (serial.empty() || serial == path ? "" : serial + " ") + path);
    }
    add_table(table, width, lines);
}

// The time within which nine of ten waits were over; more than that is not told.
std::string most_waits(const Fields& counters) {
    if (counters.number("waits").value_or(0) == 0) {
        return "-";
    }
    const auto bound = counters.number("waits-90-ms");
    return bound ? "<" + decimal(*bound / 1000, *bound < 1000 ? 3 : 0) + " s" : ">1 h";
}

void add_listeners(const Sample& now, const Sample* before, double seconds, std::size_t width, Lines& lines) {
    Table table({{"CLIENTS", 7, 12, false, 0},
                 {"WAITING", 7, 12, false, 0},
                 {"90% WAIT", 8, 12, false, 3},
                 {"REQUESTS", 10, 12, false, 2},
                 {"RATE", 10, 12, false, 0},
                 {"TOTAL", 8, 12, false, 1},
                 {"REFUSED", 7, 12, false, 4}},
                "LISTENER");
    for (const OutletSample& listener : now.listeners) {
        const Fields& c = listener.counters;
        const Fields* old = before == nullptr ? nullptr : same_counters(before->listeners, listener);
        const std::string address = clean_ascii(listener.address);
        table.add({figure(c.number("clients")), figure(c.number("waiting")), most_waits(c),
                   figure(rate(c, old, "requests", seconds), 1, "/s"),
                   amount(rate(c, old, "bytes", seconds), "B/s"), amount(c.number("bytes"), "B"),
                   figure(c.number("refused"))},
                  address.substr(0, address.find(',')), address);
    }
    add_table(table, width, lines);
}

void add_sinks(const Sample& now, const Sample* before, double seconds, std::size_t width, Lines& lines) {
    Table table({{"RATE", 10, 12, false, 0}, {"TOTAL", 8, 12, false, 1}}, "SINK, AND HOW IT IS");
    for (const OutletSample& sink : now.sinks) {
        const Fields* old = before == nullptr ? nullptr : same_counters(before->sinks, sink);
        const std::string name = clean_ascii(sink.address) + ": " + clean_ascii(sink.counters.text("state"));
        table.add({amount(rate(sink.counters, old, "bytes", seconds), "B/s"),
                   amount(sink.counters.number("bytes"), "B")},
                  name, name);
    }
    add_table(table, width, lines);
}

} // namespace

std::vector<ViewLine> view(const Sample& now, const Sample* before, std::size_t width) {
    const double seconds = before == nullptr ? 0 : std::chrono::duration<double>(now.at - before->at).count();
    Lines lines;
    lines.push_back({Style::heading, clean_ascii(now.version)});
    add_pool(now, before, seconds, width, lines);
    add_troubles(now, before, width, lines);
    lines.push_back({Style::plain, ""});
    add_sources(now, before, seconds, width, lines);
    if (!now.listeners.empty()) {
        lines.push_back({Style::plain, ""});
        add_listeners(now, before, seconds, width, lines);
    }
    if (!now.sinks.empty()) {
        lines.push_back({Style::plain, ""});
        add_sinks(now, before, seconds, width, lines);
    }
    return lines;
}

} // namespace ekey::ctl
