// Text from devices, files and clients on its way into a document.
#pragma once

#include <string>
#include <string_view>

namespace ekey::metrics {

// Valid UTF-8 without control characters: whatever is not becomes U+FFFD.
std::string clean(std::string_view text);

// Clean, and nothing in it means anything to HTML: neither in text nor between quotes.
std::string html(std::string_view text);

} // namespace ekey::metrics
