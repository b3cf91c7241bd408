#include "ekeyd/http/validity.h"

#include <cstdio>

namespace ekey::http {

std::optional<Validity> Validity::find(const Library& library, std::string_view pem) {
    const Library::Gnutls& gnutls = library.gnutls;
    gnutls_x509_crt_t certificate = nullptr;
    if (!gnutls.there || gnutls.crt_init(&certificate) != GNUTLS_E_SUCCESS) {
        return std::nullopt;
    }
    const std::string copy(pem); // which is not written to, but asked for as if it were
    const gnutls_datum_t text{reinterpret_cast<unsigned char*>(const_cast<char*>(copy.data())),
                              static_cast<unsigned>(copy.size())};
    time_t from = -1, until = -1;
    if (gnutls.crt_import(certificate, &text, GNUTLS_X509_FMT_PEM) == GNUTLS_E_SUCCESS) {
        from = gnutls.crt_get_activation_time(certificate);
        until = gnutls.crt_get_expiration_time(certificate);
    }
    gnutls.crt_deinit(certificate);
    if (from == -1 || until == -1) {
        return std::nullopt;
    }
    return Validity{std::chrono::sys_seconds(std::chrono::seconds(from)),
                    std::chrono::sys_seconds(std::chrono::seconds(until))};
}

std::string rfc3339(std::chrono::sys_seconds time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    char text[32];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()));
    return text;
}

} // namespace ekey::http
