#include "ekeyd/http/pollen_listener.h"

#include "ekeyd/config/kinds.h"
#include "ekeyd/runtime/log.h"

namespace ekey::http {

namespace {

// What tcp listeners have, and these have not: their connections are short whatever clients do.
constexpr std::array<std::string_view, 2> not_ours{"idle", "handshake"};

struct Default {
    const char *name, *value;
};
// A connection costs 10 kB, and 50 kB over TLS. Half of the places are for others than one site's machines.
// An Entropy Key feeds some 25 answers a second; one site has 16 of them, after a rollout of 256 machines at
// once.
constexpr Default defaults[] = {
    {"max-clients", "512"},
    {"max-clients-network", "256"},
    {"rate-network", "1024"},
    {"burst-network", "16384"},
};
constexpr std::uint64_t highest_max_clients = 10000;
constexpr std::uint64_t longest_wait = 60;

// A whole request, with the handshake before it and the answer after it, is a few hundred bytes each way.
constexpr unsigned longest_silence = 5, longest_request = 10;

Result<void> read_certificate(const config::Address& address, PollenOptions& options) {
    const std::string *certificate = address.find("cert"), *key = address.find("key");
    if ((certificate == nullptr) != (key == nullptr)) {
        return fail(std::string(certificate == nullptr ? "key" : "cert") + " stands alone: TLS needs " +
                    (certificate == nullptr ? "cert" : "key") + "=FILE, too");
    }
    if (certificate == nullptr) {
        return {};
    }
    options.certificate = *certificate;
    options.key = *key;
    if (auto good = config::check_path(options.certificate, false); !good) {
        return fail("cert: " + good.error().what);
    }
    if (auto good = config::check_path(options.key, false); !good) {
        return fail("key: " + good.error().what);
    }
    return {};
}

} // namespace

Result<PollenOptions> read_pollen_options(const config::Address& given) {
    config::Address address = given;
    std::vector<std::string_view> known = ekey::Limits::parameters("tcp");
    std::erase_if(known, [](std::string_view name) {
        return std::find(not_ours.begin(), not_ours.end(), name) != not_ours.end();
    });
    known.insert(known.end(), output_parameters.begin(), output_parameters.end());
    known.insert(known.end(), {"cert", "key", "wait"});
    if (auto checked = config::check_parameters(address, known); !checked) {
        return tl::unexpected(checked.error());
    }
    const bool own_rate = address.find("rate-network") != nullptr;
    for (const auto& [name, value] : defaults) {
        if (!own_rate || std::string_view(name) != "burst-network") { // or it is a second's worth
            address.parameters.try_emplace(name, value);
        }
    }
    auto where = config::parse_host_port(address.rest);
    if (!where) {
        return tl::unexpected(where.error());
    }
    auto limits = ekey::Limits::read(address);
    if (!limits) {
        return tl::unexpected(limits.error());
    }
    if (auto number =
            config::parse_number("max-clients", *address.find("max-clients"), 1, highest_max_clients);
        !number) {
        return tl::unexpected(number.error());
    }
    const auto drbg = read_output(address);
    if (!drbg) {
        return tl::unexpected(drbg.error());
    }
    PollenOptions options{std::move(*where), {std::move(*limits), *drbg}, {}, {}};
    if (const std::string* text = address.find("wait")) {
        const auto seconds = config::parse_number("wait", *text, 1, longest_wait);
        if (!seconds) {
            return tl::unexpected(seconds.error());
        }
        options.service.wait = std::chrono::seconds(*seconds);
    }
    if (auto read = read_certificate(address, options); !read) {
        return tl::unexpected(read.error());
    }
    return options;
}

PollenListener::PollenListener(const Library& library, Loop& loop, Pool& pool, const config::Address& address,
                               PollenOptions options, Mixer* mixer)
    : SocketListener(loop, address), library_(library), loop_(loop), options_(std::move(options)),
      service_(library, loop, pool, address.text, options_.service, mixer) {}

PollenListener::~PollenListener() {
    service_.close();
}

Result<std::unique_ptr<Listener>> PollenListener::prepare(Loop& loop, Pool& pool,
                                                          const config::Address& address, Mixer* mixer) {
    auto options = read_pollen_options(address);
    if (!options) {
        return tl::unexpected(options.error());
    }
    const auto library = Library::load();
    if (!library) {
        return tl::unexpected(library.error());
    }
    std::unique_ptr<PollenListener> made(
        new PollenListener(**library, loop, pool, address, std::move(*options), mixer));
    auto started = made->start();
    if (!started) {
        return tl::unexpected<Error>(started.error());
    }
    made->certificate_ = started->certificate;
    if (made->certificate_) {
        HelloGateOwner& owner = *made;
        made->gate_.emplace(loop, owner,
                            HelloGate::Patience{std::chrono::seconds(longest_silence),
                                                std::chrono::seconds(longest_request)});
    }
    made->engine_ = std::move(started->engine);
    made->warn_of(started->validity);
    return made;
}

// ---- connections

void PollenListener::refuse(const char* why, const IpAddress& from, Throttle& said) {
    ++refused_;
    if (const auto times = said.count(Loop::now())) {
        log::notice("clients refused",
                    {{"listener", address()}, {"reason", why}, {"address", from.text()}, {"times", times}});
    }
}

void PollenListener::on_accepted(Fd socket, const IpAddress& from) {
    const ekey::Limits& limits = options_.service.limits;
    forget_empty();
    if (!limits.access.admits(from)) {
        ++denied_;
        refuse("the listener's rules do not admit them", from, said_denied_);
    } else if (service_.counters().clients >= limits.max_clients) {
        refuse("as many as max-clients are connected", from, said_full_);
    } else if (const auto place = service_.enter(from)) {
        if (gate_) {
            gate_->add(std::move(socket), *place, from);
        } else {
            service_.connect(*engine_, std::move(socket), *place);
        }
    }
}

void PollenListener::on_hello(Fd socket, std::uint32_t place, const IpAddress& from) {
    service_.connect(*engine_, std::move(socket), place, [this, from] { gate_->left(from); });
}

void PollenListener::on_no_hello(std::uint32_t place, bool late) {
    ++(late ? timed_out_ : no_hello_);
    service_.leave(place);
}

Listener::Counters PollenListener::counters() const {
    Counters all = service_.counters();
    all.refused += refused_;
    all.denied += denied_;
    all.protocol_errors += no_hello_;
    all.timed_out += timed_out_ + engine_->counters().timed_out;
    for (const auto& engine : before_) {
        all.timed_out += engine->counters().timed_out;
    }
    return all;
}

// ---- the certificate

// With what the files hold now; no engine, when they are those in use.
tl::expected<PollenListener::Started, CertificateFault> PollenListener::start() const {
    Started started;
    std::optional<Certificate> certificate;
    if (!options_.certificate.empty()) {
        auto read = Certificate::read(options_.certificate, options_.key);
        if (!read) {
            return tl::unexpected(read.error());
        }
        certificate = std::move(*read);
        started.certificate = certificate->fingerprint();
        started.validity = Validity::find(library_, certificate->chain);
        if (started.certificate == certificate_) {
            return started;
        }
    }
    auto engine = Engine::start(
        library_, loop_, service_,
        {static_cast<unsigned>(options_.service.limits.max_clients), longest_silence, longest_request},
        certificate ? &*certificate : nullptr);
    if (!engine && certificate) {
        return fail("cert " + options_.certificate + " with key " + options_.key + ": " +
                    engine.error().what);
    }
    if (!engine) {
        return tl::unexpected(CertificateFault(engine.error()));
    }
    started.engine = std::move(*engine);
    return started;
}

Result<void> PollenListener::check_files() const {
    if (certificate_) {
        if (const auto started = start(); !started && !started.error().permission) {
            return tl::unexpected<Error>(started.error());
        }
    }
    return {};
}

Result<void> PollenListener::reload() {
    if (!certificate_) {
        return {};
    }
    auto started = start();
    if (!started && started.error().permission) {
        log::warning("the certificate stays as it was",
                     {{"listener", address()}, {"reason", started.error().what}});
        return {};
    }
    if (!started) {
        return tl::unexpected<Error>(started.error());
    }
    if (started->engine) {
        before_.push_back(std::exchange(engine_, std::move(started->engine)));
        certificate_ = started->certificate;
        said_invalid_ = {};
        forget_empty();
        log::notice("certificate read again", {{"listener", address()}, {"cert", options_.certificate}});
    }
    warn_of(started->validity);
    return {};
}

// It is shown all the same: what day it is, this host may not know yet. A listener that a reload adds is
// asked to reload, too, and says it once.
void PollenListener::warn_of(const std::optional<Validity>& validity) {
    const auto now = std::chrono::system_clock::now();
    const bool early = validity && now < validity->from, late = validity && now > validity->until;
    if ((early || late) && said_invalid_.count(Loop::now()) > 0) {
        log::warning(late ? "clients will not trust the certificate: it has expired"
                          : "clients will not trust the certificate: it is not valid yet",
                     {{"listener", address()},
                      {"cert", options_.certificate},
                      {late ? "until" : "from", rfc3339(late ? validity->until : validity->from)}});
    }
}

void PollenListener::forget_empty() {
    std::erase_if(before_, [this](const auto& engine) {
        const bool empty = engine->counters().clients == 0;
        timed_out_ += empty ? engine->counters().timed_out : 0;
        return empty;
    });
}

} // namespace ekey::http
