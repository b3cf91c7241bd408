// Serves documents over HTTP: GET and HEAD, nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ekeyd/http/engine.h"

namespace ekey::http {

struct Document {
    unsigned status = MHD_HTTP_OK;
    std::string type; // as Content-Type
    std::string body;
    std::string policy; // as Content-Security-Policy; empty: nothing may be loaded
};

class Site {
  public:
    // Null: there is nothing at that path.
    virtual std::optional<Document> document(std::string_view path) = 0;
    // Whether it is known by this name, which is the header Host: a name or address, with or without a port;
    // empty when there is none.
    virtual bool answers_to(std::string_view host) const {
        static_cast<void>(host);
        return true;
    }

  protected:
    ~Site() = default;
};

class Server final : Handler {
  public:
    // Says why it cannot start. Library, loop and site must outlive it.
    static Result<std::unique_ptr<Server>> start(const Library& library, Loop& loop, Site& site,
                                                 ConnectionLimits limits);
    ~Server() = default;
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // As Engine's.
    bool add(Fd socket) { return engine_->add(std::move(socket)); }

    struct Counters {
        std::uint64_t requests = 0;
        Engine::Counters connections;
    };
    Counters counters() const { return {requests_, engine_->counters()}; }

  private:
    struct Kept {
        Response response;
        unsigned status;
        Time made;
    };
    Server(const Library& library, Site& site) : library_(library), site_(site) {}
    void on_request(Connection& connection) override;
    const Kept& kept(std::string_view path);
    const Kept& not_allowed();
    const Kept& other_host();
    Kept keep(const Document& document, Time now) const;

    const Library& library_;
    Site& site_;
    std::uint64_t requests_ = 0;
    std::unique_ptr<Engine> engine_;
    std::map<std::string, Kept, std::less<>> kept_;          // by path
    std::optional<Kept> nothing_, not_allowed_, other_host_; // 404, 405, 421
};

} // namespace ekey::http
