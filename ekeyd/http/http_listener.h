// The HTTP listener: the daemon's figures for people and for Prometheus. It serves no random bytes.
//
//     /          one page for people
//     /metrics   the Prometheus text format
//     /healthz   200: the daemon turns
//     /readyz    200: seeded, and a source is healthy; else 503 with the reason
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ekeyd/http/server.h"
#include "ekeyd/listeners/acceptor.h"
#include "ekeyd/listeners/access.h"
#include "ekeyd/listeners/listener.h"
#include "ekeyd/metrics/history.h"

namespace ekey::http {

// What an address asks for; see make_http_listener().
struct Options {
    config::HostPort where{"127.0.0.1", 8890};
    NetworkAccess access;
    ConnectionLimits limits;
};
Result<Options> read_options(const config::Address& address);

class HttpListener final : public Listener, AcceptOwner, Site {
  public:
    static Result<std::unique_ptr<Listener>> open(Loop& loop, const metrics::Provider& provider,
                                                  const config::Address& address, PassedSockets* passed);
    ~HttpListener() override;

    const std::string& address() const override { return address_; }
    std::string bound_address() const override;
    Counters counters() const override;

  private:
    HttpListener(Loop& loop, const metrics::Provider& provider, std::string address, NetworkAccess access,
                 std::vector<Fd> sockets);
    void on_accepted(Fd socket, const IpAddress& from) override;
    std::optional<Document> document(std::string_view path) override;

    void on_step();
    metrics::Figures figures() const;

    const metrics::Provider& provider_;
    std::string address_;
    NetworkAccess access_;
    std::vector<Fd> sockets_;
    std::unique_ptr<Server> server_;
    std::optional<Acceptor> acceptor_;
    metrics::History history_;
    Timer step_; // of history_
    std::uint64_t accepted_ = 0, refused_ = 0;
};

} // namespace ekey::http
