// When a certificate is valid, by its own bytes. The TLS library does not tell, and shows one that has
// expired without a word.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace ekey::http {

struct Validity {
    std::chrono::sys_seconds from, until; // until: the last second of it

    // Of the first certificate of a PEM text (RFC 5280, section 4.1.2.5; RFC 7468). Nothing, when it has none
    // or that is not as it should be: which is for the TLS library to say.
    static std::optional<Validity> find(std::string_view pem);
};

// The form of a time.
std::string rfc3339(std::chrono::sys_seconds time);

} // namespace ekey::http
