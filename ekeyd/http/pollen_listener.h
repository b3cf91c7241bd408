// A listener for clients of Canonical's pollen, such as pollinate: over HTTP, or over TLS when it has a
// certificate.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ekeyd/http/certificate.h"
#include "ekeyd/http/hello_gate.h"
#include "ekeyd/http/pollen_service.h"
#include "ekeyd/http/validity.h"
#include "ekeyd/listeners/socket_listener.h"

namespace ekey::http {

// What an address asks for; see make.h.
struct PollenOptions {
    config::HostPort where;
    PollenService::Options service;
    std::string certificate, key; // files; empty: no TLS
};
Result<PollenOptions> read_pollen_options(const config::Address& address);

class PollenListener final : public SocketListener, HelloGateOwner {
  public:
    static Result<std::unique_ptr<Listener>> prepare(Loop& loop, Pool& pool, const config::Address& address,
                                                     Mixer* mixer);
    ~PollenListener() override;

    Counters counters() const override;
    // The certificate and its key. Connections that there are keep the old one until they end. When this user
    // may no longer read the files, the old one stays, and the log says so.
    Result<void> check_files() const override;
    Result<void> reload() override;

  private:
    PollenListener(const Library& library, Loop& loop, Pool& pool, const config::Address& address,
                   PollenOptions options, Mixer* mixer);
    void on_accepted(Fd socket, const IpAddress& from) override;
    void on_hello(Fd socket, std::uint32_t place, const IpAddress& from) override;
    void on_no_hello(std::uint32_t place, bool late) override;
    void refuse(const char* why, const IpAddress& from, Throttle& said);
    struct Started {
        std::unique_ptr<Engine> engine;
        std::optional<Certificate::Fingerprint> certificate; // none: it speaks no TLS
        std::optional<Validity> validity;
    };
    tl::expected<Started, CertificateFault> start() const;
    void warn_of(const std::optional<Validity>& validity);
    void forget_empty();

    const Library& library_;
    Loop& loop_;
    PollenOptions options_;
    mutable PollenService service_;                       // its engines call it
    std::optional<Certificate::Fingerprint> certificate_; // in use
    std::optional<HelloGate> gate_;                       // with TLS; engines tell it of connections that end
    std::unique_ptr<Engine> engine_;
    std::vector<std::unique_ptr<Engine>>
        before_; // with certificates that were replaced, until they are empty
    std::uint64_t refused_ = 0, denied_ = 0, timed_out_ = 0, no_hello_ = 0;
    Throttle said_denied_, said_full_, said_invalid_;
};

} // namespace ekey::http
