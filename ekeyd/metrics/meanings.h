// What figures mean, in words: for the page and for `ekeydctl top`, so that both say the same. Of plain
// numbers and texts, because one has them from the daemon and the other from the control socket.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ekey::metrics {

// A source that does not deliver: what its status word (ekeydctl(8)) means. The status names the cause; what
// failed beside it, such as silence because there is no key, may be no more than what follows from it.
// `failure` is why its health is failed now, as name(health::Failure), "none" when it is not; `detail` one
// sentence of that, and `path` the source's. No full stop. Empty: nothing is wrong, it has just begun.
std::string meaning(std::string_view status, std::string_view failure, std::string_view detail,
                    std::string_view path);

struct Readiness {
    std::size_t sources = 0;  // all
    std::size_t healthy = 0;  // that deliver noise which passes its tests
    std::size_t counting = 0; // of these, that are credited with min-entropy above 0
    bool seeded = false;      // bytes have been made that may be served
};
// Empty when clients can be served; else why not, without a full stop.
std::string why_not_ready(const Readiness& now);

// A listener's clients wait in vain: some wait, and nothing was served in the time that `served` is of. Those
// who wait while others are served only share what there is, and whatever the pool holds may be less than
// somebody asks for. A time that is shorter than `patience` says nothing: a block of an Entropy Key comes in
// 0.9 s. Nothing when `served` is not known.
constexpr double patience = 1; // seconds
std::string waiting_in_vain(std::string_view listener, double waiting, std::optional<double> served);

} // namespace ekey::metrics
