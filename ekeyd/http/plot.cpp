#include "ekeyd/http/plot.h"

#include <algorithm>
#include <cmath>

#include "ekeyd/http/units.h"
#include "ekeyd/metrics/text.h"

namespace ekey::http {

namespace {

// Of the picture, and of the field in it; the rest is for what stands beside the axes.
constexpr double width = 360, height = 130, left = 62, right = 352, top = 10, bottom = 108;

double x_of(std::size_t i) {
    return left + (right - left) * static_cast<double>(i) / static_cast<double>(metrics::History::points - 1);
}

std::string place(double x, double y) {
    return fixed(x, 1) + ' ' + fixed(y, 1);
}

// A line through what is known, and the ground beneath it.
void add_curve(std::string& out, const metrics::History::Series& series, double highest) {
    std::string line, ground;
    for (std::size_t i = 0; i < series.size();) {
        if (!std::isfinite(series[i])) {
            ++i;
            continue;
        }
        const std::size_t first = i;
        std::string part;
        for (; i < series.size() && std::isfinite(series[i]); ++i) {
            const double y = bottom - (bottom - top) * std::clamp(double{series[i]} / highest, 0.0, 1.0);
            part += (part.empty() ? "" : "L") + place(x_of(i), y);
        }
        if (i - first == 1) {
            part += "h0"; // a point alone is drawn by its round ends
        }
        line += 'M' + part;
        ground += 'M' + place(x_of(first), bottom) + 'L' + part + 'L' + place(x_of(i - 1), bottom) + 'Z';
    }
    if (!line.empty()) {
        out += "<path class=\"ground\" d=\"" + ground + "\"/><path class=\"line\" d=\"" + line + "\"/>";
    }
}

std::string text(double x, double y, const char* anchor, const std::string& words) {
    return "<text x=\"" + fixed(x, 0) + "\" y=\"" + fixed(y, 0) + "\" text-anchor=\"" + anchor + "\">" +
           words + "</text>";
}

} // namespace

double nice_top(double value) {
    const double power = std::pow(10.0, std::floor(std::log10(value)));
    for (const double step : {1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0}) {
        if (value <= step * power * (1 + 1e-9)) {
            return step * power;
        }
    }
    return 10 * power;
}

std::string plot(std::string_view title, const metrics::History::Series& series,
                 std::string (*format)(double), double at_least) {
    double most = at_least;
    for (const float value : series) {
        most = std::isfinite(value) ? std::max(most, double{value}) : most;
    }
    const double highest = nice_top(most), now = double{series.back()};
    const std::string name = metrics::html(title);
    std::string out = "<figure><figcaption><span>" + name + "</span> <b>" + metrics::html(format(now)) +
                      "</b></figcaption><svg viewBox=\"0 0 " + fixed(width, 0) + ' ' + fixed(height, 0) +
                      "\" role=\"img\" aria-label=\"" + name + ", the last hour\">";
    for (const double part : {0.0, 0.5, 1.0}) {
        const double y = bottom - (bottom - top) * part;
        out += "<path class=\"grid\" d=\"M" + place(left, y) + 'H' + fixed(right, 0) + "\"/>" +
               text(left - 6, y + 4, "end", metrics::html(format(highest * part)));
    }
    for (const int minutes : {60, 45, 30, 15, 0}) {
        const double x = right - (right - left) * minutes / 60;
        out += "<path class=\"grid\" d=\"M" + place(x, bottom) + "v4\"/>" +
               text(x, bottom + 17, minutes == 0 ? "end" : "middle",
                    minutes == 0 ? "now" : "\xe2\x88\x92" + std::to_string(minutes) + "\xc2\xa0min");
    }
    add_curve(out, series, highest);
    return out + "</svg></figure>";
}

} // namespace ekey::http
