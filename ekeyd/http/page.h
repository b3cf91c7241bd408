// The page for people: one document, with nothing to load and no script.
#pragma once

#include <string>

#include "ekeyd/metrics/figures.h"
#include "ekeyd/metrics/history.h"

namespace ekey::http {

// `now` in seconds since 1970.
std::string page(const metrics::Figures& figures, const metrics::History& history, double now);

// What a browser may do with it: Content-Security-Policy, with the hash of the page's style sheet.
std::string page_policy();

} // namespace ekey::http
