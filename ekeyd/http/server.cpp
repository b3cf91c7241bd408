#include "ekeyd/http/server.h"

namespace ekey::http {

namespace {

// A document is made this often at most, however many ask: they cannot keep the loop from its other work.
constexpr Duration fresh = std::chrono::milliseconds(100);

} // namespace

Result<std::unique_ptr<Server>> Server::start(const Library& library, Loop& loop, Site& site,
                                              ConnectionLimits limits) {
    std::unique_ptr<Server> server(new Server(library, site));
    auto engine = Engine::start(library, loop, *server, limits);
    if (!engine) {
        return tl::unexpected(engine.error());
    }
    server->engine_ = std::move(*engine);
    return server;
}

Server::Kept Server::keep(const Document& document, Time now) const {
    // A copy: a document may be replaced while someone still reads the last one.
    Response made(library_, document.body, document.type.c_str());
    made.header("Referrer-Policy", "no-referrer");
    made.header("Content-Security-Policy",
                document.policy.empty() ? "default-src 'none'; frame-ancestors 'none'" : document.policy);
    return {std::move(made), document.status, now};
}

const Server::Kept& Server::kept(std::string_view path) {
    const Time now = Loop::now();
    auto found = kept_.find(path);
    if (found != kept_.end() && now - found->second.made < fresh) {
        return found->second;
    }
    if (auto document = site_.document(path)) { // of which there are a few, so this map is small
        return kept_.insert_or_assign(std::string(path), keep(*document, now)).first->second;
    }
    if (!nothing_) {
        nothing_ = keep({MHD_HTTP_NOT_FOUND, "text/plain", "There is nothing here.\n", {}}, now);
    }
    return *nothing_;
}

const Server::Kept& Server::not_allowed() {
    if (!not_allowed_) {
        Kept made = keep({MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "Only GET and HEAD are answered.\n", {}},
                         Loop::now());
        made.response.header(MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        not_allowed_ = std::move(made);
    }
    return *not_allowed_;
}

const Server::Kept& Server::other_host() {
    if (!other_host_) {
        other_host_ =
            keep({MHD_HTTP_MISDIRECTED_REQUEST,
                  "text/plain",
                  "This listener answers to localhost and 127.0.0.1 only, since a page of another "
                  "site must not read it under a name of its own. With allow=127.0.0.0/8 it answers "
                  "to every name.\n",
                  {}},
                 Loop::now());
    }
    return *other_host_;
}

void Server::on_request(Connection& connection) {
    ++requests_;
    const bool allowed =
        connection.method == MHD_HTTP_METHOD_GET || connection.method == MHD_HTTP_METHOD_HEAD;
    const Kept& answer = !site_.answers_to(connection.header(MHD_HTTP_HEADER_HOST)) ? other_host()
                         : allowed                                                  ? kept(connection.path)
                                                                                    : not_allowed();
    connection.respond(answer.status, answer.response);
}

} // namespace ekey::http
