#include "ekeyd/metrics/verdict.h"

#include <algorithm>

namespace ekey::metrics {

namespace {

std::string named(const SourceFigures& source) {
    std::string name = "Source " + std::to_string(source.number) + " (" + source.address;
    if (!source.status.serial.empty()) {
        name += ", serial " + source.status.serial;
    }
    return name + ")";
}

std::string trouble(const SourceFigures& source) {
    if (!source.device.failure.empty()) {
        return named(source) + " reports a failure of its own: " + source.device.failure + ".";
    }
    if (source.health == health::State::failed) {
        return named(source) + " has failed (" + std::string(name(source.failure)) +
               "): " + (source.detail.empty() ? source.status.word : source.detail) +
               ". Nothing of it is used.";
    }
    if (!source.status.ok && source.health == health::State::healthy) {
        return named(source) + " delivers nothing: " + source.status.word + ".";
    }
    if (!source.status.ok && source.status.word != "Startup test") {
        return named(source) + " has delivered nothing yet: " + source.status.word + ".";
    }
    return {};
}

} // namespace

bool seeded(const Figures& figures) {
    return figures.pool.bytes_in > 0;
}

std::string why_not_ready(const Figures& figures) {
    if (figures.sources.empty()) {
        return "there is no source";
    }
    if (!seeded(figures)) {
        return "not seeded: no source has delivered enough yet";
    }
    const bool healthy = std::any_of(figures.sources.begin(), figures.sources.end(), [](const auto& source) {
        return source.status.ok && source.health == health::State::healthy;
    });
    return healthy ? "" : "no source is healthy";
}

std::vector<std::string> troubles(const Figures& figures) {
    std::vector<std::string> all;
    if (const std::string why = why_not_ready(figures); !why.empty()) {
        all.push_back("The daemon is not ready: " + why + ".");
    }
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
        if (listener.counters.waiting > 0 && figures.pool.size == 0) {
            all.push_back(std::to_string(listener.counters.waiting) + " clients of " + listener.address +
                          " wait: the pool is empty.");
        }
    }
    return all;
}

} // namespace ekey::metrics
