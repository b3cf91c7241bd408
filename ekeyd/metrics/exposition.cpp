#include "ekeyd/metrics/exposition.h"

#include <charconv>
#include <chrono>
#include <cmath>

#include "ekeyd/metrics/text.h"

namespace ekey::metrics {

namespace {

// A label's value: backslash, quote and newline are escaped, and what is no UTF-8 is replaced.
std::string escaped(std::string_view value) {
    std::string out;
    for (const char c : clean(value)) {
        if (c == '\\' || c == '"') {
            out += '\\';
        }
        out += c;
    }
    return out;
}

} // namespace

std::string number(double value) {
    if (std::isnan(value)) {
        return "NaN";
    }
    if (std::isinf(value)) {
        return value > 0 ? "+Inf" : "-Inf";
    }
    char text[32]; // the longest shortest form has 24 characters
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ +=
        "# HELP " + name_ + ' ' + std::string(help) + "\n# TYPE " + name_ + ' ' + std::string(type) + '\n';
}

void Exposition::add(std::string_view suffix, const Labels& labels, std::string_view bound,
                     std::string_view value) {
    text_ += name_;
    text_ += suffix;
    char separator = '{';
    for (const auto& [name, label] : labels) {
        text_ += separator + name + "=\"" + escaped(label) + '"';
        separator = ',';
    }
    if (!bound.empty()) {
        text_ += separator + ("le=\"" + std::string(bound)) + '"';
        separator = ',';
    }
    text_ += separator == ',' ? "} " : " ";
    text_ += value;
    text_ += '\n';
}

void Exposition::sample(const Labels& labels, double value) {
    add("", labels, {}, number(value));
}

void Exposition::sample(const Labels& labels, const WaitHistogram& histogram) {
    std::uint64_t so_far = 0;
    for (std::size_t i = 0; i < histogram.bounds.size(); ++i) {
        so_far += histogram.counts[i];
        add("_bucket", labels, number(histogram.bounds[i]), std::to_string(so_far));
    }
    so_far += histogram.counts.back();
    add("_bucket", labels, "+Inf", std::to_string(so_far));
    add("_sum", labels, {}, number(std::chrono::duration<double>(histogram.sum).count()));
    add("_count", labels, {}, std::to_string(so_far));
}

} // namespace ekey::metrics
