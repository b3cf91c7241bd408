#include "ekeyd/http/http_listener.h"

#include <algorithm>

#include "ekeyd/http/page.h"
#include "ekeyd/metrics/exposition.h"
#include "ekeyd/metrics/prometheus.h"
#include "ekeyd/metrics/verdict.h"
#include "ekeyd/runtime/log.h"

namespace ekey::http {

namespace {

// Documents are kept for a tenth of a second: a few clients are as good as many. A connection that reads
// slowly can hold 8 KiB and a document.
constexpr std::uint64_t highest_max_clients = 1000;

bool of_this_host_alone(const std::string& host) {
    return host == "localhost" || host == "::1" ||
           (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

bool names_this_host(std::string_view host) {
    std::string name(host.starts_with('[') ? host.substr(1, host.find(']') - 1)
                                           : host.substr(0, host.find(':')));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return of_this_host_alone(name.ends_with('.') ? name.substr(0, name.size() - 1) : name);
}

// Sources are added after listeners: a moment later they are there.
constexpr Duration first_step = std::chrono::seconds(1);

} // namespace

Result<Options> read_options(const config::Address& address) {
    Options options;
    if (auto known = config::check_parameters(address, {"allow", "deny", "max-clients"}); !known) {
        return tl::unexpected(known.error());
    }
    if (!address.rest.empty()) {
        auto where = config::parse_host_port(address.rest);
        if (!where) {
            return tl::unexpected(where.error());
        }
        options.where = std::move(*where);
    }
    auto access = NetworkAccess::read(address);
    if (!access) {
        return tl::unexpected(access.error());
    }
    if (!of_this_host_alone(options.where.host) && address.find("allow") == nullptr) {
        return fail("http asks for no password: an address other than 127.0.0.1, [::1] and localhost needs "
                    "allow=NETWORK, to say who may look");
    }
    options.access = std::move(*access);
    options.any_host = address.find("allow") != nullptr;
    if (const std::string* text = address.find("max-clients")) {
        const auto number = config::parse_number("max-clients", *text, 1, highest_max_clients);
        if (!number) {
            return tl::unexpected(number.error());
        }
        options.limits.max_clients = static_cast<unsigned>(*number);
    }
    return options;
}

HttpListener::HttpListener(Loop& loop, const metrics::Provider& provider, const config::Address& address,
                           Options options)
    : SocketListener(loop, address), provider_(provider), access_(std::move(options.access)),
      any_host_(options.any_host), step_(loop) {
    step_.bind<&HttpListener::on_step>(this);
    step_.start(first_step);
}

HttpListener::~HttpListener() = default;

Result<std::unique_ptr<Listener>> HttpListener::prepare(Loop& loop, const metrics::Provider& provider,
                                                        const config::Address& address) {
    auto options = read_options(address);
    if (!options) {
        return tl::unexpected(options.error());
    }
    const auto library = Library::load();
    if (!library) {
        return tl::unexpected(library.error());
    }
    std::unique_ptr<HttpListener> made(new HttpListener(loop, provider, address, *options));
    auto server = Server::start(**library, loop, *made, options->limits);
    if (!server) {
        return tl::unexpected(server.error());
    }
    made->server_ = std::move(*server);
    return made;
}

void HttpListener::on_accepted(Fd socket, const IpAddress& from) {
    ++accepted_;
    if (!access_.open() && !access_.admits(from)) {
        ++denied_;
        ++refused_;
        if (const auto times = said_denied_.count(Loop::now())) {
            log::notice("clients refused: the listener's rules do not admit them",
                        {{"listener", address()}, {"address", from.text()}, {"times", times}});
        }
    } else if (!server_->add(std::move(socket))) {
        ++refused_;
        if (const auto times = said_full_.count(Loop::now())) {
            log::warning("clients refused: as many as max-clients are connected",
                         {{"listener", address()}, {"address", from.text()}, {"times", times}});
        }
    }
}

// A page of another site could have its name resolved to 127.0.0.1, and read what is told here in the browser
// of somebody on this host (DNS rebinding); the browser then sends that name. Who has named networks has
// others than this host's browsers in mind, and may have a proxy in front.
bool HttpListener::answers_to(std::string_view host) const {
    return any_host_ || host.empty() || names_this_host(host);
}

Listener::Counters HttpListener::counters() const {
    const Server::Counters c = server_->counters();
    Counters out;
    out.accepted = accepted_;
    out.refused = refused_;
    out.closed = c.connections.closed;
    out.requests = c.requests;
    out.denied = denied_;
    out.timed_out = c.connections.timed_out;
    out.protocol_errors = c.connections.errors;
    out.clients = c.connections.clients;
    return out;
}

void HttpListener::on_step() {
    history_.add(provider_.figures(), Loop::now());
    step_.start(metrics::History::step);
}

metrics::Figures HttpListener::figures() const {
    metrics::Figures all = provider_.figures();
    history_.fill_rates(all, Loop::now());
    return all;
}

std::optional<Document> HttpListener::document(std::string_view path) {
    const std::string text = "text/plain; charset=utf-8";
    if (path == "/") {
        const double now =
            std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
        return Document{MHD_HTTP_OK, "text/html; charset=utf-8", page(figures(), history_, now),
                        page_policy()};
    }
    if (path == "/healthz") {
        return Document{MHD_HTTP_OK, text, "ok\n", {}};
    }
    if (path == "/readyz") {
        const std::string why = metrics::why_not_ready(provider_.figures());
        return why.empty() ? Document{MHD_HTTP_OK, text, "ready\n", {}}
                           : Document{MHD_HTTP_SERVICE_UNAVAILABLE, text, "not ready: " + why + "\n", {}};
    }
    if (path == "/metrics") {
        return Document{
            MHD_HTTP_OK, metrics::Exposition::content_type, metrics::to_prometheus(figures()), {}};
    }
    return std::nullopt;
}

} // namespace ekey::http
