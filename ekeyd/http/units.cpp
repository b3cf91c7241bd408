#include "ekeyd/http/units.h"

#include <charconv>
#include <cmath>

namespace ekey::http {

std::string count(std::uint64_t value) {
    std::string digits = std::to_string(value);
    for (std::size_t i = digits.size(); i > 3; i -= 3) {
        digits.insert(i - 3, "\xe2\x80\xaf"); // U+202F
    }
    return digits;
}

std::string fixed(double value, int digits) {
    char text[400]; // the largest double has 309 digits
    return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, digits).ptr};
}

std::string bytes(double value) {
    if (!std::isfinite(value)) {
        return "\xe2\x80\x93"; // an en dash
    }
    const char* const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    std::size_t unit = 0;
    while (value >= 999.5 && unit + 1 < std::size(units)) {
        value /= 1000;
        ++unit;
    }
    const int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    return fixed(value, digits) + "\xc2\xa0" + units[unit];
}

std::string rate(double bytes_per_second) {
    return std::isfinite(bytes_per_second) ? bytes(bytes_per_second) + "/s" : bytes(bytes_per_second);
}

std::string span(Duration duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
    const auto two = [](long long large, const char* unit, long long small, const char* small_unit) {
        return std::to_string(large) + "\xc2\xa0" + unit +
               (small == 0 ? "" : " " + std::to_string(small) + "\xc2\xa0" + small_unit);
    };
    if (seconds < 60) {
        return std::to_string(seconds) + "\xc2\xa0s";
    }
    if (seconds < 3600) {
        return std::to_string(seconds / 60) + "\xc2\xa0min";
    }
    if (seconds < 86400) {
        return two(seconds / 3600, "h", seconds % 3600 / 60, "min");
    }
    return two(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

} // namespace ekey::http
