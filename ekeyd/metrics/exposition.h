// The Prometheus text format, version 0.0.4.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ekeyd/listeners/wait_histogram.h"

namespace ekey::metrics {

class Exposition {
  public:
    static constexpr const char* content_type = "text/plain; version=0.0.4; charset=utf-8";

    using Labels = std::vector<std::pair<std::string, std::string>>; // name and value

    // Begins a family; its samples follow. `type` is counter, gauge or histogram; a counter's name ends in
    // _total.
    void family(std::string_view name, std::string_view type, std::string_view help);
    void sample(const Labels& labels, double value);
    void sample(const Labels& labels, std::integral auto value) {
        add("", labels, {}, std::to_string(value));
    }
    void sample(const Labels& labels, const WaitHistogram& histogram);

    const std::string& text() const { return text_; }

  private:
    void add(std::string_view suffix, const Labels& labels, std::string_view bound, std::string_view value);

    std::string text_, name_;
};

// As Prometheus reads it: the shortest text that gives the same number again; NaN, +Inf, -Inf.
std::string number(double value);

} // namespace ekey::metrics
