// When a certificate is valid. libmicrohttpd does not tell, and shows one that has expired without a word.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "ekeyd/http/library.h"

namespace ekey::http {

struct Validity {
    std::chrono::sys_seconds from, until; // until: the last second of it

    // Of the first certificate of a PEM text. Nothing, when it has none or that is not as it should be (which
    // is told when it is used), or when libmicrohttpd is without GnuTLS.
    static std::optional<Validity> find(const Library& library, std::string_view pem);
};

// The form of a time.
std::string rfc3339(std::chrono::sys_seconds time);

} // namespace ekey::http
