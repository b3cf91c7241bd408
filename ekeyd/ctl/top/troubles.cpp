#include "ekeyd/ctl/top/troubles.h"

#include <algorithm>
#include <cstdio>

#include "ekeyd/ctl/text.h"

namespace ekey::ctl {

namespace {

// The status words of ekeydctl(8).
constexpr struct {
    std::string_view status, meaning;
} meanings[] = {
    {"Unknown", "a session with it has not begun yet"},
    {"Serial ok", "a session with it has not begun yet"},
    {"Serial unknown", "its long-term key is not in the keyring: see ekey-rekey(8)"},
    {"Long-Term-Key is bad", "the keyring has a wrong long-term key of it: see ekey-rekey(8)"},
    {"Key has self-stopped", "it reports a failure of its own; only unplugging it may mend that"},
    {"Health test failed", "what it sends is no noise; it is tried again, less and less often"},
    {"Silent", "it is there, and no noise comes from it"},
    {"No answer", "it is there, and says nothing at all"},
    {"Framing errors", "what it sends arrives broken: look at its cable or hub"},
    {"Stalled", "the USB device refuses to be read or written"},
    {"Transfers fail", "transfers with the USB device end in errors"},
    {"Key closed. (Vanished?)", "it is unplugged, or cannot be opened; it is looked for"},
};

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
    const std::string_view status = source.health.text("Status");
    const std::string_view detail = source.health.text("Detail");
    if (!source.ok && status != "Startup test") {
        const auto* known = std::find_if(std::begin(meanings), std::end(meanings),
                                         [&](const auto& m) { return m.status == status; });
        all.push_back(name_of(source) + ": " +
                      (known == std::end(meanings) ? clean_ascii(status) : std::string(known->meaning)) +
                      (detail.empty() ? "." : " (" + clean_ascii(detail) + ")."));
    } else if (before != nullptr && health_failures(source.health) > health_failures(before->health)) {
        all.push_back(name_of(source) + " has failed since the last look, and delivers again: " +
                      clean_ascii(source.health.text("LastFailure")) + ".");
    }
}

void add_listener(const OutletSample& listener, const Fields* before, bool empty,
                  std::vector<std::string>& all) {
    // Those who wait while others are served only share what there is.
    const double waiting = listener.counters.number("waiting").value_or(0);
    if (empty && waiting > 0 && rate(listener.counters, before, "bytes", 1).value_or(0) == 0) {
        all.push_back((waiting == 1 ? "A client of " : whole(waiting) + " clients of ") +
                      clean_ascii(listener.address) + (waiting == 1 ? " waits" : " wait") +
                      ": the pool is empty.");
    }
    if (const auto refused = rate(listener.counters, before, "refused", 1); refused && *refused > 0) {
        all.push_back(clean_ascii(listener.address) + " has refused " + whole(*refused) +
                      " clients since the last look.");
    }
}

} // namespace

double health_failures(const Fields& health) {
    double sum = 0;
    for (const char* name :
         {"RepetitionFailures", "ProportionFailures", "SilenceFailures", "DeviceFailures"}) {
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
    const bool empty = now.daemon.number("PoolBytes").value_or(0) == 0;
    if (now.sources.empty()) {
        all.emplace_back("There is no source of noise: plug one in, or name one in ekeyd.conf(5).");
    } else if (now.daemon.number("PoolBytesIn").value_or(0) == 0) {
        all.emplace_back("Nothing can be served yet: no source has delivered enough.");
    } else if (std::none_of(now.sources.begin(), now.sources.end(), [](const auto& s) { return s.ok; })) {
        all.emplace_back("No source delivers: what is in the pool is the last.");
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
        add_listener(listener, before == nullptr ? nullptr : same_counters(before->listeners, listener),
                     empty, all);
    }
    return all;
}

} // namespace ekey::ctl
