#include "ekeyd/metrics/meanings.h"

#include <algorithm>
#include <cstdio>

namespace ekey::metrics {

namespace {

// The status words of ekeydctl(8).
constexpr struct {
    std::string_view status, meaning;
    bool whole = false; // nothing that failed beside it says more
} meanings[] = {
    {"Unknown", "a session with it has not begun yet"},
    {"Serial ok", "a session with it has not begun yet"},
    {"Serial unknown", "its long-term key is not in the keyring: see ekey-rekey(8)", true},
    {"Wrong serial number", "the device there has another serial number than serial= says", true},
    {"Long-Term-Key is bad", "the keyring has a wrong long-term key of it: see ekey-rekey(8)", true},
    {"Key has self-stopped", "it reports a failure of its own; only unplugging it may mend that"},
    {"Health test failed", "what it sends is no noise; it is tried again, less and less often"},
    {"Silent", "it is there, and no noise comes from it"},
    {"No answer", "it is there, and says nothing at all"},
    {"Framing errors", "what it sends arrives broken: look at its cable or hub"},
    {"Stalled", "the USB device refuses to be read or written"},
    {"Transfers fail", "transfers with the USB device end in errors"},
    {"Key closed. (Vanished?)", "it is unplugged, or cannot be opened; it is looked for"},
    {"Closed", "it cannot be opened or read; it is tried again"},
    {"Failed", "its generator does not run"},
    {"Connecting", "the connection to it is not made yet"},
    {"Startup test", "", true},
};

constexpr std::string_view away = "Away: "; // and why

} // namespace

std::string meaning(std::string_view status, std::string_view failure, std::string_view detail,
                    std::string_view path) {
    if (status.starts_with(away)) {
        return "it cannot be reached, and is tried again (" + std::string(status.substr(away.size())) + ")";
    }
    const auto* const known = std::find_if(std::begin(meanings), std::end(meanings),
                                           [&](const auto& one) { return one.status == status; });
    const bool found = known != std::end(meanings);
    std::string text(found ? known->meaning : status);
    const bool of_noise = failure != "silence" && failure != "device" && failure != "none";
    const bool failed_test = status == "Health test failed";
    if ((found && known->whole) || failure == "none" || (of_noise && !failed_test)) {
        return text;
    }
    // Its path is named already, with or without the kind before it.
    for (const std::string_view known_already : {path, path.substr(path.find(':') + 1)}) {
        if (detail.starts_with(std::string(known_already) + ": ")) {
            detail.remove_prefix(known_already.size() + 2);
        }
    }
    std::string more(failed_test ? failure : "");
    more += (more.empty() || detail.empty() ? "" : ": ") + std::string(detail);
    return more.empty() ? text : text + " (" + more + ")";
}

std::string why_not_ready(const Readiness& now) {
    return now.sources == 0    ? "there is no source: plug one in, or name one in ekeyd.conf(5)"
           : !now.seeded       ? "not seeded: no source has delivered enough yet"
           : now.healthy == 0  ? "no source is healthy"
           : now.counting == 0 ? "no source that counts is healthy: the others have min-entropy 0"
                               : "";
}

std::string waiting_in_vain(std::string_view listener, double waiting, std::optional<double> served) {
    if (!(waiting > 0) || !served || *served > 0) {
        return {};
    }
    char number[32];
    std::snprintf(number, sizeof number, "%.0f", waiting);
    return (waiting == 1 ? "A client of " : std::string(number) + " clients of ") + std::string(listener) +
           (waiting == 1 ? " waits, and is served nothing" : " wait, and are served nothing");
}

} // namespace ekey::metrics
