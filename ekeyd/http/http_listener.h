// The HTTP listener: the daemon's figures for people and for Prometheus. It serves no random bytes.
//
//     /          one page for people
//     /metrics   the Prometheus text format
//     /healthz   200: the daemon turns
//     /readyz    200: seeded, and a source that counts is healthy; else 503 with the reason
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ekeyd/http/server.h"
#include "ekeyd/listeners/access.h"
#include "ekeyd/listeners/socket_listener.h"
#include "ekeyd/listeners/throttle.h"
#include "ekeyd/metrics/history.h"

namespace ekey::http {

// What an address asks for; see make.h.
struct Options {
    config::HostPort where{"127.0.0.1", 8890};
    NetworkAccess access;
    ConnectionLimits limits;
    bool any_host = false; // answers whatever it is called by
};
Result<Options> read_options(const config::Address& address);

class HttpListener final : public SocketListener, Site {
  public:
    static Result<std::unique_ptr<Listener>> prepare(Loop& loop, const metrics::Provider& provider,
                                                     const config::Address& address);
    ~HttpListener() override;

    Counters counters() const override;

  private:
    HttpListener(Loop& loop, const metrics::Provider& provider, const config::Address& address,
                 Options options);
    void on_accepted(Fd socket, const IpAddress& from) override;
    std::optional<Document> document(std::string_view path) override;
    bool answers_to(std::string_view host) const override;

    void on_step();
    metrics::Figures figures() const;

    const metrics::Provider& provider_;
    NetworkAccess access_;
    bool any_host_;
    std::unique_ptr<Server> server_;
    metrics::History history_;
    Timer step_; // of history_
    std::uint64_t accepted_ = 0, refused_ = 0, denied_ = 0;
    Throttle said_denied_, said_full_;
};

} // namespace ekey::http
