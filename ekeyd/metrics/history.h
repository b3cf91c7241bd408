// The figures of the last hour, in bounded memory: 1.5 kB a series, a series for each source and a few more.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "ekeyd/metrics/figures.h"

namespace ekey::metrics {

class History {
  public:
    static constexpr Duration step = std::chrono::seconds(10), span = std::chrono::hours(1);
    static constexpr std::size_t points = span / step;

    // The newest last; NaN where nothing is known.
    using Series = std::array<float, points>;

    // To be called once a step. Rates are those since the call before.
    void add(const Figures& figures, Time now);

    // Fills in SourceFigures::rate: noise that has passed since the newest point that is about a minute old,
    // or since the oldest one when all are younger; nothing for a source of which there is none yet. And what
    // listeners have served since the newest point that is older than metrics::patience.
    void fill_rates(Figures& figures, Time now) const;

    const Series* source(unsigned number) const; // bytes a second that passed; null when there is none yet
    const Series& pool() const { return pool_; } // bytes held
    const Series& served() const { return served_; } // random bytes a second, by all listeners
    const Series& clients() const { return clients_; }
    const Series& waiting() const { return waiting_; }

  private:
    struct Totals {
        Time when;
        std::map<unsigned, std::uint64_t> sources;      // bytes released, by number
        std::map<std::string, std::uint64_t> listeners; // bytes served, by address
        std::uint64_t served = 0;
    };
    static constexpr std::size_t minute = std::chrono::minutes(1) / step;

    static Series unknown();
    static void push(Series& series, double value);

    std::deque<Totals> recent_; // of the last minute
    std::map<unsigned, Series> sources_;
    Series pool_ = unknown(), served_ = unknown(), clients_ = unknown(), waiting_ = unknown();
};

} // namespace ekey::metrics
