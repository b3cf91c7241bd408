#include "ekeyd/ctl/top/troubles.h"

#include <algorithm>
#include <cstdio>

#include "ekeyd/ctl/text.h"
#include "ekeyd/metrics/meanings.h"

namespace ekey::ctl {

namespace {

std::string whole(double number) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f", number);
    return text;
}

std::string name_of(const SourceSample& source) {
    const std::string_view serial = source.health.text("SerialNo");
    return "Source " + clean_ascii(source.health.text("Source")) + " (" +
           clean_ascii(serial.empty() ? source.health.text("Path") : serial) + ")";
}

void add_source(const SourceSample& source, const SourceSample* before, std::vector<std::string>& all) {
    const Fields& health = source.health;
    if (!source.ok) {
        const std::string what =
            metrics::meaning(clean_ascii(health.text("Status")), clean_ascii(health.text("Failure")),
                             clean_ascii(health.text("Detail")), clean_ascii(health.text("Path")));
        if (!what.empty()) {
            all.push_back(name_of(source) + ": " + what + ".");
        }
    } else if (before != nullptr && health_failures(health) > health_failures(before->health)) {
        all.push_back(name_of(source) + " has failed since the last look, and delivers again: " +
                      clean_ascii(health.text("LastFailure")) + ".");
    }
}

void add_listener(const OutletSample& listener, const Fields* before, std::vector<std::string>& all) {
    const std::string address = clean_ascii(listener.address);
    if (const std::string one =
            metrics::waiting_in_vain(address, listener.counters.number("waiting").value_or(0),
                                     rate(listener.counters, before, "bytes", 1));
        !one.empty()) {
        all.push_back(one + ".");
    }
    if (const auto refused = rate(listener.counters, before, "refused", 1); refused && *refused > 0) {
        all.push_back(address + " has refused " + whole(*refused) +
                      (*refused == 1 ? " client since the last look." : " clients since the last look."));
    }
}

std::string why_not_ready(const Sample& now) {
    metrics::Readiness state;
    state.sources = now.sources.size();
    state.seeded = now.daemon.number("PoolBytesIn").value_or(0) > 0;
    for (const SourceSample& source : now.sources) {
        state.healthy += source.ok;
        state.counting += source.ok && source.health.number("MinEntropyPerByte").value_or(0) > 0;
    }
    return metrics::why_not_ready(state);
}

} // namespace

double health_failures(const Fields& health) {
    double sum = 0;
    for (const char* name : {"RepetitionFailures", "ProportionFailures", "FipsRateFailures",
                             "SilenceFailures", "DeviceFailures"}) {
        sum += health.number(name).value_or(0);
    }
    return sum;
}

const SourceSample* same(const Sample* before, const SourceSample& of) {
    if (before == nullptr) {
        return nullptr;
    }
    const auto found =
        std::find_if(before->sources.begin(), before->sources.end(), [&](const SourceSample& source) {
            return source.health.text("Source") == of.health.text("Source") &&
                   source.health.text("Path") == of.health.text("Path");
        });
    return found == before->sources.end() ? nullptr : &*found;
}

const Fields* same_counters(const std::vector<OutletSample>& all, const OutletSample& of) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const OutletSample& one) { return one.address == of.address; });
    return found == all.end() ? nullptr : &found->counters;
}

std::vector<std::string> troubles(const Sample& now, const Sample* before) {
    std::vector<std::string> all;
    if (const std::string why = why_not_ready(now); !why.empty()) {
        all.push_back("Not ready: " + why + ".");
    }
    for (const SourceSample& source : now.sources) {
        add_source(source, same(before, source), all);
    }
    for (const OutletSample& sink : now.sinks) {
        if (const auto state = sink.counters.text("state"); state != "ok") {
            all.push_back("Sink " + clean_ascii(sink.address) + ": " + clean_ascii(state) + ".");
        }
    }
    for (const OutletSample& listener : now.listeners) {
        add_listener(listener, before == nullptr ? nullptr : same_counters(before->listeners, listener), all);
    }
    return all;
}

} // namespace ekey::ctl
