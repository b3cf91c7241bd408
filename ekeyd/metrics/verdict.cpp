#include "ekeyd/metrics/verdict.h"

#include <optional>

#include "ekeyd/metrics/meanings.h"

namespace ekey::metrics {

namespace {

std::string named(const SourceFigures& source) {
    std::string name = "Source " + std::to_string(source.number) + " (" + source.address;
    if (!source.status.serial.empty() && source.status.serial != source.status.path) {
        name += ", serial " + source.status.serial;
    }
    return name + ")";
}

std::string trouble(const SourceFigures& source) {
    if (source.status.ok && source.device.failure.empty()) {
        return {};
    }
    if (!source.device.failure.empty()) {
        return named(source) + " reports a failure of its own: " + source.device.failure + ".";
    }
    const auto failure = source.health == health::State::failed ? source.failure : health::Failure::none;
    const std::string what = meaning(source.status.word, name(failure), source.detail, source.status.path);
    return what.empty() ? "" : named(source) + ": " + what + ".";
}

} // namespace

bool seeded(const Figures& figures) {
    return figures.pool.bytes_in > 0;
}

std::string why_not_ready(const Figures& figures) {
    Readiness now;
    now.sources = figures.sources.size();
    now.seeded = seeded(figures);
    for (const SourceFigures& source : figures.sources) {
        const bool healthy = source.status.ok && source.health == health::State::healthy;
        now.healthy += healthy;
        now.counting += healthy && source.min_entropy > 0;
    }
    return why_not_ready(now);
}

std::vector<std::string> troubles(const Figures& figures) {
    std::vector<std::string> all;
    for (const SourceFigures& source : figures.sources) {
        if (std::string one = trouble(source); !one.empty()) {
            all.push_back(std::move(one));
        }
    }
    for (const SinkFigures& sink : figures.sinks) {
        if (sink.state != "ok") {
            all.push_back("Sink " + sink.address + ": " + sink.state + ".");
        }
    }
    for (const ListenerFigures& listener : figures.listeners) {
        const auto& served = listener.served_lately;
        if (const std::string one =
                waiting_in_vain(listener.address, static_cast<double>(listener.counters.waiting),
                                served ? std::optional(static_cast<double>(*served)) : std::nullopt);
            !one.empty()) {
            all.push_back(one + ".");
        }
    }
    return all;
}

} // namespace ekey::metrics
