#include "ekeyd/http/validity.h"

#include <charconv>
#include <cstdio>
#include <vector>

#include <sodium.h>

#include "protocol/bytes.h"

namespace ekey::http {

namespace {

// X.690, section 8: DER's tag, length and content.
constexpr Byte sequence = 0x30, version = 0xa0, utc_time = 0x17, generalized_time = 0x18;

struct Element {
    Byte tag = 0;
    ByteView content;
};

// Takes the first one off. One without content stands for what is none.
Element take(ByteView& from) {
    if (from.size() < 2) {
        return {};
    }
    const Byte tag = from[0];
    std::size_t length = from[1], head = 2;
    if (length >= 0x80) { // so many bytes of length follow
        head += length - 0x80;
        if (head > 2 + 3 || from.size() < head) {
            return {};
        }
        length = 0;
        for (const Byte each : from.subspan(2, head - 2)) {
            length = length << 8 | each;
        }
    }
    if (length > from.size() - head) {
        return {};
    }
    const Element taken{tag, from.subspan(head, length)};
    from = from.subspan(head + length);
    return taken;
}

// YYMMDDHHMMSSZ, or with four digits of the year.
std::optional<std::chrono::sys_seconds> read_time(const Element& element) {
    const std::string_view text = as_text(element.content);
    const std::size_t year_digits = element.tag == generalized_time ? 4 : 2;
    if ((element.tag != utc_time && element.tag != generalized_time) || text.size() != year_digits + 11 ||
        text.back() != 'Z') {
        return std::nullopt;
    }
    int parts[6];
    const char* next = text.data();
    for (int& part : parts) {
        const char* const end = next + (&part == parts ? year_digits : 2);
        if (const auto [stop, error] = std::from_chars(next, end, part);
            error != std::errc() || stop != end || part < 0) {
            return std::nullopt;
        }
        next = end;
    }
    if (element.tag == utc_time) { // section 4.1.2.5.1
        parts[0] += parts[0] >= 50 ? 1900 : 2000;
    }
    const std::chrono::year_month_day day{std::chrono::year(parts[0]),
                                          std::chrono::month(static_cast<unsigned>(parts[1])),
                                          std::chrono::day(static_cast<unsigned>(parts[2]))};
    if (!day.ok() || parts[3] > 23 || parts[4] > 59 || parts[5] > 59) {
        return std::nullopt;
    }
    return std::chrono::sys_days(day) + std::chrono::hours(parts[3]) + std::chrono::minutes(parts[4]) +
           std::chrono::seconds(parts[5]);
}

std::vector<Byte> first_certificate(std::string_view pem) {
    constexpr std::string_view begin = "-----BEGIN CERTIFICATE-----", end = "-----END CERTIFICATE-----";
    const std::size_t first = pem.find(begin);
    if (first == pem.npos) {
        return {};
    }
    pem = pem.substr(first + begin.size());
    pem = pem.substr(0, pem.find(end));
    std::vector<Byte> der(pem.size());
    std::size_t size = 0;
    if (sodium_base642bin(der.data(), der.size(), pem.data(), pem.size(), " \t\r\n", &size, nullptr,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return {};
    }
    der.resize(size);
    return der;
}

} // namespace

std::optional<Validity> Validity::find(std::string_view pem) {
    const std::vector<Byte> der = first_certificate(pem);
    ByteView whole = der;
    ByteView certificate = take(whole).content;
    ByteView fields = take(certificate).content; // to be signed: section 4.1
    if (!fields.empty() && fields.front() == version) {
        take(fields);
    }
    take(fields); // serial number
    take(fields); // algorithm
    take(fields); // issuer
    const Element validity = take(fields);
    if (validity.tag != sequence) {
        return std::nullopt;
    }
    ByteView times = validity.content;
    const auto from = read_time(take(times)), until = read_time(take(times));
    if (!from || !until) {
        return std::nullopt;
    }
    return Validity{*from, *until};
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
