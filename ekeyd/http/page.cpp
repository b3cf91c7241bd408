#include "ekeyd/http/page.h"

#include <cmath>
#include <ctime>

#include <sodium.h>

#include "ekeyd/http/plot.h"
#include "ekeyd/http/units.h"
#include "ekeyd/metrics/text.h"
#include "ekeyd/metrics/verdict.h"

namespace ekey::http {

namespace {

using metrics::Figures;
using metrics::html;
using metrics::ListenerFigures;
using metrics::SourceFigures;

constexpr std::string_view style =
#include "ekeyd/http/style.h"
    ;

const std::string dash = "\xe2\x80\x93";

std::string element(const char* name, const std::string& inside, const char* kind = "") {
    return "<" + std::string(name) + (*kind == 0 ? "" : " class=\"" + std::string(kind) + "\"") + ">" +
           inside + "</" + name + ">";
}
std::string number(const std::string& inside) {
    return element("td", inside);
}
std::string words(const std::string& inside, const std::string& beneath = {}) {
    return element("td", inside + (beneath.empty() ? "" : element("small", beneath)), "w");
}

// Rows, beneath a line of headings; those that begin with ':' stand over words, the others over numbers.
// The caption is for those who have it read to them; others see the heading above.
std::string table(const char* caption, std::initializer_list<std::string_view> headings,
                  const std::string& rows, const char* when_none) {
    if (rows.empty()) {
        return element("div", element("p", when_none, "none"), "scroll");
    }
    std::string head;
    for (const std::string_view heading : headings) {
        const bool left = heading.starts_with(':');
        head += std::string("<th scope=\"col\"") + (left ? " class=\"w\">" : ">") +
                std::string(heading.substr(left ? 1 : 0)) + "</th>";
    }
    return "<div class=\"scroll\"><table>" + element("caption", caption) + "<thead><tr>" + head +
           "</tr></thead><tbody>" + rows + "</tbody></table></div>";
}

// ---- the parts, in their order

std::string verdict(const Figures& figures) {
    const std::string why = metrics::why_not_ready(figures);
    const auto troubles = metrics::troubles(figures);
    const std::string title = why.empty() ? "Ready" : "Not ready: " + html(why);
    if (troubles.empty()) {
        return element("div", title + (why.empty() ? ". Nothing is wrong." : "."),
                       why.empty() ? "verdict good" : "verdict bad");
    }
    std::string list;
    for (const std::string& trouble : troubles) {
        list += element("li", html(trouble));
    }
    return element("div",
                   title + (why.empty() ? ", but this is wrong:" : ". This is wrong:") + element("ul", list),
                   why.empty() ? "verdict warn" : "verdict bad");
}

std::string tile(const char* name, const std::string& value, const std::string& beneath) {
    return "<div>" + element("dt", name) + element("dd", value + element("small", beneath)) + "</div>";
}

std::string tiles(const Figures& figures, double now) {
    const auto& pool = figures.pool;
    double clients = 0, waiting = 0, served = 0;
    for (const ListenerFigures& listener : figures.listeners) {
        if (!listener.serves) {
            continue;
        }
        clients += static_cast<double>(listener.counters.clients);
        waiting += static_cast<double>(listener.counters.waiting);
        served += static_cast<double>(listener.counters.bytes_served);
    }
    const auto up =
        std::chrono::duration_cast<Duration>(std::chrono::duration<double>(now - figures.started));
    const double full =
        pool.capacity == 0 ? 0 : 100.0 * static_cast<double>(pool.size) / static_cast<double>(pool.capacity);
    return "<dl class=\"tiles\">" +
           tile("Pool", bytes(static_cast<double>(pool.size)),
                fixed(full, 0) + "\xc2\xa0% of " + bytes(static_cast<double>(pool.capacity))) +
           tile("Served to clients", bytes(served), bytes(static_cast<double>(pool.bytes_in)) + " made") +
           tile("Clients", fixed(clients, 0), fixed(waiting, 0) + " wait for bytes") +
           tile("Kernel\xe2\x80\x99s pool",
                figures.kernel.entropy_bits ? fixed(*figures.kernel.entropy_bits, 0) + "\xc2\xa0"
                                                                                       "bits"
                                            : dash,
                figures.kernel.pool_bits ? "of " + fixed(*figures.kernel.pool_bits, 0) : "not told") +
           tile("Up for", span(up), fixed(figures.cpu_seconds, 1) + "\xc2\xa0s of processor time") + "</dl>";
}

std::string state_of(const SourceFigures& source) {
    const char* const kind = source.status.ok                         ? "good"
                             : source.health == health::State::failed ? "bad"
                                                                      : "warn";
    const char* const mark = source.status.ok                         ? "\xe2\x9c\x93 "
                             : source.health == health::State::failed ? "\xe2\x9c\x97 "
                                                                      : "\xe2\x80\xa6 ";
    return element("span", mark + html(source.status.word), kind);
}

std::string failures_of(const SourceFigures& source) {
    const auto& c = source.counters;
    const std::uint64_t all = c.repetition + c.proportion + c.fips_rate + c.silence + c.device;
    return all == 0 ? "0" : element("span", count(all), "warn");
}

std::string sources(const Figures& figures) {
    std::string rows;
    for (const SourceFigures& source : figures.sources) {
        const auto& device = source.device;
        const auto& c = source.counters;
        const std::string serial =
            source.status.serial == source.address || source.status.serial == source.status.path
                ? ""
                : html(source.status.serial);
        const std::string session = device.session ? "session: " + html(device.session->state) : "";
        rows += element(
            "tr", number(std::to_string(source.number)) + words(html(source.address), serial) +
                      words(state_of(source), session) + number(source.rate ? rate(*source.rate) : dash) +
                      number(bytes(static_cast<double>(c.bytes_released))) +
                      number(count(c.blocks_failed) + " of " + count(c.blocks_passed + c.blocks_failed)) +
                      number(failures_of(source)) +
                      number(device.kelvin ? fixed(*device.kelvin - 273.15, 1) + "\xc2\xa0\xc2\xb0"
                                                                                 "C"
                                           : dash) +
                      number(device.volts ? fixed(*device.volts, 2) + "\xc2\xa0V" : dash) +
                      number(device.shannon ? fixed(device.shannon->debiased_left, 2) + " / " +
                                                  fixed(device.shannon->debiased_right, 2)
                                            : dash));
    }
    return element("h2", "Keys and other sources") +
           table("Keys and other sources",
                 {"Nr", ":Source", ":State", "Rate", "Passed", "FIPS blocks failed", "Health failures",
                  "Temperature", "Voltage", "Shannon L / R"},
                 rows, "There is none.");
}

std::string plots(const Figures& figures, const metrics::History& history) {
    std::string all;
    const auto as_count = [](double value) {
        return value == value ? fixed(value, value < 9.5 && value != static_cast<int>(value) ? 1 : 0) : dash;
    };
    for (const SourceFigures& source : figures.sources) {
        if (const auto* series = history.source(source.number)) {
            all += plot("Noise of " + std::to_string(source.number) + ", " +
                            (source.status.serial.empty() ? source.address : source.status.serial),
                        *series, rate, 100);
        }
    }
    all += plot("In the pool", history.pool(), bytes, static_cast<double>(figures.pool.capacity));
    all += plot("Served", history.served(), rate, 100);
    all += plot("Clients", history.clients(), as_count, 4);
    all += plot("Clients that wait", history.waiting(), as_count, 4);
    return element("h2", "The last hour") + element("div", all, "plots");
}

std::string nine_of_ten(const WaitHistogram& waits) {
    const double bound = waits.nine_of_ten();
    return !std::isfinite(bound)
               ? "over 1\xc2\xa0h"
               : "\xe2\x89\xa4 " + (bound < 1 ? fixed(bound * 1000, 0) + "\xc2\xa0ms"
                                              : span(std::chrono::seconds(static_cast<int>(bound))));
}

std::string listeners(const Figures& figures) {
    std::string rows;
    for (const ListenerFigures& listener : figures.listeners) {
        const auto& c = listener.counters;
        const std::uint64_t waits = c.waits.total();
        rows +=
            element("tr", words(html(listener.address)) + number(count(c.clients)) +
                              number(c.waiting == 0 ? "0" : element("span", count(c.waiting), "warn")) +
                              number(count(c.requests)) + number(bytes(static_cast<double>(c.bytes_served))) +
                              number(count(waits)) + number(waits == 0 ? dash : nine_of_ten(c.waits)) +
                              number(count(c.refused)) + number(count(c.protocol_errors)));
    }
    return element("h2", "Clients") + table("Clients",
                                            {":Listener", "Clients", "Waiting", "Requests", "Served",
                                             "Waits so far", "90\xc2\xa0% of them", "Refused", "Errors"},
                                            rows, "Nobody is served: there is no listener.");
}

std::string sinks(const Figures& figures) {
    std::string rows;
    for (const auto& sink : figures.sinks) {
        const bool ok = sink.state == "ok";
        rows += element("tr", words(html(sink.address)) +
                                  words(element("span", html(sink.state), ok ? "good" : "bad")) +
                                  number(bytes(static_cast<double>(sink.bytes))));
    }
    return element("h2", "Sinks") + table("Sinks", {":Sink", ":State", "Pushed"}, rows, "There is none.");
}

std::string time_text(double now) {
    const auto seconds = static_cast<std::time_t>(now);
    std::tm parts{};
    char text[64] = "";
    if (gmtime_r(&seconds, &parts) != nullptr) {
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
    }
    return text;
}

} // namespace

std::string page(const Figures& figures, const metrics::History& history, double now) {
    const std::string host = figures.host.empty() ? "" : " on " + html(figures.host);
    return "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
           "<meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" "
           "content=\"10\">" +
           element(
               "title",
               (metrics::troubles(figures).empty() && metrics::why_not_ready(figures).empty() ? "" : "(!) ") +
                   ("ekeyd" + host)) +
           "<style>" + std::string(style) + "</style></head><body><header>" + element("h1", "ekeyd" + host) +
           element("p", "as of " + time_text(now)) + "</header><main>" + verdict(figures) +
           tiles(figures, now) + sources(figures) + plots(figures, history) + listeners(figures) +
           sinks(figures) + "</main><footer>ekeyd " + html(figures.version) +
           ". This page comes anew every 10 seconds. For programs: <a href=\"/metrics\">metrics</a>, "
           "<a href=\"/readyz\">readyz</a>, <a href=\"/healthz\">healthz</a>.</footer></body></html>\n";
}

std::string page_policy() {
    Byte hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, reinterpret_cast<const Byte*>(style.data()), style.size());
    char text[sodium_base64_ENCODED_LEN(sizeof hash, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(text, sizeof text, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL);
    return "default-src 'none'; style-src 'sha256-" + std::string(text) +
           "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

} // namespace ekey::http
