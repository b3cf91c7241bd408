#include "ekeyd/http/server.h"

#include <exception>

#include <sys/socket.h>

namespace ekey::http {

namespace {

// A document is made this often at most, however many ask: they cannot keep the loop from its other work.
constexpr Duration fresh = std::chrono::milliseconds(100);
// Connections are looked at this often while there are any.
constexpr Duration look_every = std::chrono::seconds(1);
// The longest request line with its headers, twice what browsers send; and room for the answer's headers.
constexpr std::size_t memory_a_connection = 8192;

} // namespace

Server::Server(const Library& library, Loop& loop, Site& site, Limits limits)
    : library_(library), site_(site), limits_(limits), watcher_(loop), timer_(loop), look_(loop) {
    watcher_.bind<&Server::on_ready>(this);
    timer_.bind<&Server::on_timer>(this);
    look_.bind<&Server::on_look>(this);
}

Server::~Server() {
    watcher_.stop();
    if (daemon_ != nullptr) {
        library_.stop_daemon(daemon_); // closes all connections
    }
}

Result<std::unique_ptr<Server>> Server::start(const Library& library, Loop& loop, Site& site, Limits limits) {
    std::unique_ptr<Server> server(new Server(library, loop, site, limits));
    if (auto started = server->start(); !started) {
        return tl::unexpected(started.error());
    }
    return server;
}

Result<void> Server::start() {
    // No thread of its own, no socket of its own, and no pipe to wake it: only the loop calls it.
    daemon_ = library_.start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, nullptr, nullptr,
                                    &Server::on_request, this, MHD_OPTION_NOTIFY_COMPLETED,
                                    &Server::on_completed, this, MHD_OPTION_NOTIFY_CONNECTION,
                                    &Server::on_connection, this, MHD_OPTION_CONNECTION_LIMIT,
                                    limits_.max_clients, MHD_OPTION_CONNECTION_TIMEOUT, limits_.silence,
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory_a_connection, MHD_OPTION_END);
    if (daemon_ == nullptr) {
        return fail("libmicrohttpd does not start");
    }
    const auto* info = library_.get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == nullptr) {
        return fail("this libmicrohttpd was built without epoll");
    }
    watcher_.watch(info->epoll_fd, IoWatcher::readable);
    return {};
}

bool Server::add(Fd socket) {
    sockaddr_storage from{}; // of no use to us; the library wants one
    socklen_t size = sizeof from;
    getpeername(socket.get(), reinterpret_cast<sockaddr*>(&from), &size);
    const bool added = library_.add_connection(daemon_, socket.release(), reinterpret_cast<sockaddr*>(&from),
                                               size) == MHD_YES; // or it has closed the socket
    run();
    return added;
}

void Server::on_ready(int) {
    run();
}

void Server::run() {
    library_.run(daemon_);
    MHD_UNSIGNED_LONG_LONG milliseconds = 0;
    if (library_.get_timeout(daemon_, &milliseconds) == MHD_YES) {
        timer_.start(std::chrono::milliseconds(milliseconds));
    } else {
        timer_.stop();
    }
}

void Server::on_look() {
    const Time now = Loop::now();
    for (Connection& connection : connections_) {
        if (connection.deadline <= now) {
            connection.deadline = Time::max();
            ++counters_.timed_out;
            shutdown(connection.fd, SHUT_RDWR); // the library finds it over, and closes it
        }
    }
    run();
}

// ---- answers

Server::Response Server::response(const Document& document) const {
    // The library may use a copy only: a document may be replaced while someone still reads the last one.
    std::string body = document.body;
    Response made(library_.create_response_from_buffer(body.size(), body.data(), MHD_RESPMEM_MUST_COPY),
                  library_.destroy_response);
    if (made == nullptr) {
        throw std::bad_alloc();
    }
    const auto header = [&](const char* name, const char* value) {
        library_.add_response_header(made.get(), name, value);
    };
    header(MHD_HTTP_HEADER_CONTENT_TYPE, document.type.c_str());
    header(MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    header("X-Content-Type-Options", "nosniff");
    header("Referrer-Policy", "no-referrer");
    header("Content-Security-Policy",
           document.policy.empty() ? "default-src 'none'; frame-ancestors 'none'" : document.policy.c_str());
    return made;
}

const Server::Kept& Server::kept(std::string_view path) {
    const Time now = Loop::now();
    auto found = kept_.find(path);
    if (found != kept_.end() && now - found->second.made < fresh) {
        return found->second;
    }
    if (auto document = site_.document(path)) { // of which there are a few, so this map is small
        Kept made{response(*document), document->status, now};
        return kept_.insert_or_assign(std::string(path), std::move(made)).first->second;
    }
    if (!nothing_) {
        nothing_ = Kept{response({MHD_HTTP_NOT_FOUND, "text/plain", "There is nothing here.\n", {}}),
                        MHD_HTTP_NOT_FOUND, now};
    }
    return *nothing_;
}

MHD_Result Server::answer(MHD_Connection* connection, std::string_view method, std::string_view path) {
    ++counters_.requests;
    if (method != MHD_HTTP_METHOD_GET && method != MHD_HTTP_METHOD_HEAD) {
        if (!not_allowed_) {
            not_allowed_ = Kept{
                response(
                    {MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "Only GET and HEAD are answered.\n", {}}),
                MHD_HTTP_METHOD_NOT_ALLOWED, Loop::now()};
            library_.add_response_header(not_allowed_->response.get(), MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        }
        ++counters_.errors;
        return library_.queue_response(connection, not_allowed_->status, not_allowed_->response.get());
    }
    const Kept& found = kept(path);
    counters_.errors += found.status >= 400 && found.status != MHD_HTTP_SERVICE_UNAVAILABLE;
    return library_.queue_response(connection, found.status, found.response.get());
}

// ---- what the library calls

// Once with the headers, then with each part of a body, then at its end.
MHD_Result Server::on_request(void* self, MHD_Connection* connection, const char* path, const char* method,
                              const char*, const char*, std::size_t* upload_size, void** request) noexcept {
    Server& server = *static_cast<Server*>(self);
    const std::string_view verb = method;
    const bool body_follows = verb != MHD_HTTP_METHOD_GET && verb != MHD_HTTP_METHOD_HEAD;
    if (*request == nullptr && !body_follows) {
        *request = self; // an answer now would end the connection: the library thinks that a body is refused
        return MHD_YES;
    }
    if (*upload_size != 0) {
        *upload_size = 0; // nobody has asked for it
        return MHD_YES;
    }
    try {
        return server.answer(connection, verb, path);
    } catch (const std::exception&) { // no memory: this connection ends
        return MHD_NO;
    }
}

void Server::on_completed(void* self, MHD_Connection* connection, void**,
                          MHD_RequestTerminationCode) noexcept {
    Server& server = *static_cast<Server*>(self);
    const auto* info = server.library_.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info != nullptr && info->socket_context != nullptr) { // and the time for the next request begins
        static_cast<Connection*>(info->socket_context)->deadline =
            Loop::now() + std::chrono::seconds(server.limits_.request);
    }
}

void Server::on_connection(void* self, MHD_Connection* connection, void** context,
                           MHD_ConnectionNotificationCode what) noexcept {
    Server& server = *static_cast<Server*>(self);
    auto& connections = server.connections_;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const auto* info = server.library_.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        const Time deadline = Loop::now() + std::chrono::seconds(server.limits_.request);
        connections.push_front({info->connect_fd, deadline});
        *context = &connections.front();
        if (!server.look_.active()) {
            server.look_.every(look_every);
        }
    } else {
        const auto* ended = static_cast<Connection*>(*context);
        connections.remove_if([&](const Connection& one) { return &one == ended; });
        *context = nullptr;
        ++server.counters_.closed;
        if (connections.empty()) {
            server.look_.stop();
        }
    }
    server.counters_.clients = connections.size();
}

} // namespace ekey::http
