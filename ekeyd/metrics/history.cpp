#include "ekeyd/metrics/history.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ekeyd/metrics/meanings.h"

namespace ekey::metrics {

namespace {

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

// What is counted anew (a listener went and came back) has no rate.
double rate(std::uint64_t before, std::uint64_t now, Duration between) {
    const double seconds = std::chrono::duration<double>(between).count();
    return now < before || seconds <= 0 ? nothing : static_cast<double>(now - before) / seconds;
}

} // namespace

History::Series History::unknown() {
    Series series;
    series.fill(std::numeric_limits<float>::quiet_NaN());
    return series;
}

void History::push(Series& series, double value) {
    std::shift_left(series.begin(), series.end(), 1);
    series.back() = static_cast<float>(value);
}

void History::add(const Figures& figures, Time now) {
    Totals totals{now, {}, {}, 0};
    double clients = 0, waiting = 0;
    for (const ListenerFigures& listener : figures.listeners) {
        if (!listener.serves) {
            continue;
        }
        totals.served += listener.counters.bytes_served;
        totals.listeners[listener.address] = listener.counters.bytes_served;
        clients += static_cast<double>(listener.counters.clients);
        waiting += static_cast<double>(listener.counters.waiting);
    }
    const Totals* before = recent_.empty() ? nullptr : &recent_.back();
    std::map<unsigned, Series> kept;
    for (const SourceFigures& source : figures.sources) {
        const std::uint64_t bytes = totals.sources[source.number] = source.counters.bytes_released;
        const auto old = sources_.find(source.number);
        Series& series = kept[source.number] = old == sources_.end() ? unknown() : old->second;
        const bool known = before != nullptr && before->sources.contains(source.number);
        push(series, known ? rate(before->sources.at(source.number), bytes, now - before->when) : nothing);
    }
    sources_ = std::move(kept); // a source that was removed goes with its series
    push(pool_, static_cast<double>(figures.pool.size));
    push(served_, before != nullptr ? rate(before->served, totals.served, now - before->when) : nothing);
    push(clients_, clients);
    push(waiting_, waiting);

    recent_.push_back(std::move(totals));
    if (recent_.size() > minute) {
        recent_.pop_front();
    }
}

void History::fill_rates(Figures& figures, Time now) const {
    for (SourceFigures& source : figures.sources) {
        const auto known = std::find_if(recent_.begin(), recent_.end(), [&](const Totals& totals) {
            return totals.sources.contains(source.number);
        });
        if (known == recent_.end() || now - known->when < std::chrono::seconds(1)) {
            continue;
        }
        source.rate =
            rate(known->sources.at(source.number), source.counters.bytes_released, now - known->when);
    }
    const auto last = std::find_if(recent_.rbegin(), recent_.rend(), [&](const Totals& totals) {
        return now - totals.when >= std::chrono::duration<double>(patience);
    });
    if (last == recent_.rend()) {
        return;
    }
    for (ListenerFigures& listener : figures.listeners) {
        const auto before = last->listeners.find(listener.address);
        if (before != last->listeners.end() && before->second <= listener.counters.bytes_served) {
            listener.served_lately = listener.counters.bytes_served - before->second;
        }
    }
}

const History::Series* History::source(unsigned number) const {
    const auto found = sources_.find(number);
    return found == sources_.end() ? nullptr : &found->second;
}

} // namespace ekey::metrics
