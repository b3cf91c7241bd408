#include "ekeyd/http/engine.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <vector>

#include <linux/tcp.h> // netinet/tcp.h lacks tcpi_bytes_received
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace ekey::http {

namespace {

// Connections are looked at this often while there are any.
constexpr Duration look_every = std::chrono::seconds(1);
// The library's clock may be as much behind ours.
constexpr Duration clocks_apart = std::chrono::milliseconds(50);
// The longest request line with its headers, twice what browsers send; and room for the answer's headers.
constexpr std::size_t memory_a_connection = 8192;

// TLS 1.2 and 1.3. The order is the clients: a server that insists on a group of its own asks for another
// hello.
constexpr const char* tls_priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

bool has_no_body(std::string_view method) {
    return method == MHD_HTTP_METHOD_GET || method == MHD_HTTP_METHOD_HEAD;
}

} // namespace

std::string_view Connection::header(const char* name) const {
    const char* const value = engine.library_.lookup_connection_value(library_handle, MHD_HEADER_KIND, name);
    return value != nullptr ? value : "";
}

bool Connection::gone() const {
    pollfd about{socket, POLLRDHUP, 0};
    return ::poll(&about, 1, 0) > 0;
}

Duration Connection::silent() const {
    Duration since = aside ? Duration::zero() : Loop::now() - heard;
    tcp_info about{};
    if (socklen_t size = sizeof about; getsockopt(socket, IPPROTO_TCP, TCP_INFO, &about, &size) == 0) {
        since = std::min<Duration>(since, std::chrono::milliseconds(about.tcpi_last_data_recv));
    }
    return since;
}

// Bytes came; the end of the stream counts as one. Of a socket that is not TCP (in tests) it is guessed: the
// library has not closed it for silence, nor because its peer left.
bool Connection::said_something() const {
    tcp_info about{};
    socklen_t size = sizeof about;
    return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &about, &size) == 0
               ? about.tcpi_bytes_received > 1
               : !gone() && silent() < std::chrono::seconds(engine.limits_.silence) - clocks_apart;
}

Engine::Engine(const Library& library, Loop& loop, Handler& handler, ConnectionLimits limits)
    : library_(library), handler_(handler), limits_(limits), watcher_(loop), timer_(loop), look_(loop) {
    watcher_.bind<&Engine::on_ready>(this);
    timer_.bind<&Engine::on_timer>(this);
    look_.bind<&Engine::on_look>(this);
}

Engine::~Engine() {
    watcher_.stop();
    if (daemon_ == nullptr) {
        return;
    }
    for (Connection& connection : connections_) { // or the library aborts
        if (std::exchange(connection.aside, false)) {
            library_.resume_connection(connection.library_handle);
        }
    }
    library_.stop_daemon(daemon_); // closes all connections
}

Result<std::unique_ptr<Engine>> Engine::start(const Library& library, Loop& loop, Handler& handler,
                                              ConnectionLimits limits, const Certificate* tls) {
    std::unique_ptr<Engine> engine(new Engine(library, loop, handler, limits));
    if (auto started = engine->start(tls); !started) {
        return tl::unexpected(started.error());
    }
    return engine;
}

Result<void> Engine::start(const Certificate* tls) {
    // No thread of its own, and no socket of its own: only the loop calls it.
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    std::vector<MHD_OptionItem> options;
    if (tls != nullptr) {
        flags |= MHD_USE_TLS;
        // It copies neither, and looks at them only now; what it makes of the key is in the TLS library's own
        // memory, which is not locked.
        const auto pem = [](const auto& text) {
            return const_cast<void*>(static_cast<const void*>(text.data()));
        };
        options = {{MHD_OPTION_HTTPS_MEM_CERT, 0, pem(tls->chain)},
                   {MHD_OPTION_HTTPS_MEM_KEY, 0, pem(tls->key)},
                   {MHD_OPTION_HTTPS_PRIORITIES, 0, const_cast<char*>(tls_priorities)}};
    }
    options.push_back({MHD_OPTION_END, 0, nullptr});
    daemon_ = library_.start_daemon(
        flags, 0, nullptr, nullptr, &Engine::on_access, this, MHD_OPTION_EXTERNAL_LOGGER, &Engine::on_message,
        this, MHD_OPTION_NOTIFY_COMPLETED, &Engine::on_completed, this, MHD_OPTION_NOTIFY_CONNECTION,
        &Engine::on_connection, this, MHD_OPTION_URI_LOG_CALLBACK, &Engine::on_uri, this,
        MHD_OPTION_CONNECTION_LIMIT, limits_.max_clients, MHD_OPTION_CONNECTION_TIMEOUT, limits_.silence,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory_a_connection, MHD_OPTION_ARRAY, options.data(),
        MHD_OPTION_END);
    if (daemon_ == nullptr) {
        return fail("libmicrohttpd does not start" + (message_.empty() ? "" : ": " + message_));
    }
    started_ = true;
    const auto* info = library_.get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == nullptr) {
        return fail("this libmicrohttpd was built without epoll");
    }
    watcher_.watch(info->epoll_fd, IoWatcher::readable);
    return {};
}

// While it starts, it tells why it does not; later, of what clients do wrong.
void Engine::on_message(void* self, const char* format, va_list arguments) noexcept {
    Engine& engine = *static_cast<Engine*>(self);
    char line[256];
    if (engine.started_ || std::vsnprintf(line, sizeof line, format, arguments) <= 0) {
        return;
    }
    try {
        std::string_view text = line;
        text = text.substr(0, text.find_last_not_of(" .\n") + 1);
        engine.message_ += (engine.message_.empty() ? "" : "; ") + std::string(text);
    } catch (const std::exception&) { // no memory: then without
        engine.message_.clear();
    }
}

bool Engine::add(Fd socket) {
    sockaddr_storage from{}; // of no use to us; the library wants one
    socklen_t size = sizeof from;
    getpeername(socket.get(), reinterpret_cast<sockaddr*>(&from), &size);
    const bool added = library_.add_connection(daemon_, socket.release(), reinterpret_cast<sockaddr*>(&from),
                                               size) == MHD_YES; // or it has closed the socket
    run();
    return added;
}

void Engine::run() {
    library_.run(daemon_);
    MHD_UNSIGNED_LONG_LONG milliseconds = 0;
    if (library_.get_timeout(daemon_, &milliseconds) == MHD_YES) {
        timer_.start(std::chrono::milliseconds(milliseconds));
    } else {
        timer_.stop();
    }
}

void Engine::on_look() {
    const Time now = Loop::now();
    for (Connection& connection : connections_) {
        if (connection.deadline <= now) {
            connection.deadline = Time::max();
            connection.heard = now; // it is counted
            connection.late = true;
            ++counters_.timed_out;
            shutdown(connection.socket, SHUT_RDWR); // the library finds it over, and closes it
        }
    }
    run();
}

// ---- for the handler

void Connection::respond(unsigned status, const Response& response) {
    result = engine.library_.queue_response(library_handle, status, response.get());
}

void Connection::set_aside() {
    aside = true;
    deadline = Time::max();
    result = MHD_YES;
    engine.library_.suspend_connection(library_handle);
}

void Connection::resume() {
    if (!std::exchange(aside, false)) {
        return; // the engine ends
    }
    heard = Loop::now();
    deadline = heard + std::chrono::seconds(engine.limits_.request);
    engine.library_.resume_connection(library_handle);
    engine.timer_.start(Duration::zero()); // not at once: this may be another one's turn
}

// ---- what the library calls

Connection* Engine::find(MHD_Connection* handle) const {
    const auto* info = library_.get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != nullptr ? static_cast<Connection*>(info->socket_context) : nullptr;
}

MHD_Result Engine::handle(Connection& connection) {
    connection.result = MHD_NO;
    connection.pending = false;
    handler_.on_request(connection);
    return connection.result;
}

// With the first line of a request, as it was sent.
void* Engine::on_uri(void* self, const char* uri, MHD_Connection* handle) noexcept {
    if (Connection* const connection = static_cast<Engine*>(self)->find(handle)) {
        connection->named = connection->pending = true;
        const std::string_view whole = uri;
        connection->heard = Loop::now();
        try {
            connection->query = whole.substr(std::min(whole.find('?'), whole.size() - 1) + 1);
        } catch (const std::exception&) { // no memory: as if there were none
            connection->query.clear();
        }
    }
    return nullptr;
}

// Once with the headers, then with each part of a body, then at its end; and again when it was set aside.
MHD_Result Engine::on_access(void* self, MHD_Connection* handle, const char* path, const char* method,
                             const char*, const char* upload, std::size_t* upload_size,
                             void** request) noexcept {
    Engine& engine = *static_cast<Engine*>(self);
    Connection* const found = engine.find(handle);
    if (found == nullptr) {
        return MHD_NO;
    }
    Connection& connection = *found;
    connection.method = method;
    connection.path = path;
    connection.heard = Loop::now();
    try {
        const bool first = *request == nullptr;
        *request = found;
        if (first) {
            engine.handler_.on_head(connection);
        }
        if (has_no_body(connection.method)) {
            if (first || *upload_size != 0) { // an answer now would end the connection: the library thinks
                *upload_size = 0;             // that a body is refused
                return MHD_YES;
            }
            return engine.handle(connection);
        }
        const std::size_t longest = engine.handler_.longest_body(connection);
        if (*upload_size != 0) {
            connection.too_long = connection.too_long || *upload_size > longest - connection.body.size();
            if (!connection.too_long) {
                connection.body.append(upload, *upload_size);
            }
            *upload_size = 0;
            return MHD_YES;
        }
        return first && longest > 0 ? MHD_YES : engine.handle(connection);
    } catch (const std::exception&) { // no memory: this connection ends
        return MHD_NO;
    }
}

void Engine::on_completed(void* self, MHD_Connection* handle, void** request,
                          MHD_RequestTerminationCode why) noexcept {
    Engine& engine = *static_cast<Engine*>(self);
    Connection* const connection = engine.find(handle);
    if (connection == nullptr) {
        return;
    }
    const bool refused =
        why == MHD_REQUEST_TERMINATED_COMPLETED_OK || why == MHD_REQUEST_TERMINATED_WITH_ERROR;
    engine.counters_.errors += connection->pending && refused && !connection->late;
    connection->pending = false;
    if (*request != nullptr) {
        engine.handler_.on_over(*connection);
    }
    *request = nullptr;
    connection->query.clear();
    connection->body.clear();
    connection->too_long = false;
    // The time for the next request begins.
    const Time now = Loop::now();
    connection->heard = why == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED ? connection->heard : now;
    connection->deadline = now + std::chrono::seconds(engine.limits_.request);
}

void Engine::connected(MHD_Connection* handle, void** context) {
    const auto* info = library_.get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
    connections_.push_front(
        Connection(*this, handle, info->connect_fd, Loop::now() + std::chrono::seconds(limits_.request)));
    Connection& made = connections_.front();
    *context = &made;
    counters_.clients = connections_.size();
    if (!look_.active()) {
        look_.every(look_every);
    }
    handler_.on_connected(made);
}

void Engine::disconnected(void** context) {
    auto* const ended = static_cast<Connection*>(*context);
    *context = nullptr;
    if (ended == nullptr) {
        return;
    }
    // The library does not tell why.
    counters_.timed_out += ended->silent() >= std::chrono::seconds(limits_.silence) - clocks_apart;
    counters_.errors += !ended->named && !ended->late && ended->said_something();
    handler_.on_disconnected(*ended);
    connections_.remove_if([&](const Connection& one) { return &one == ended; });
    ++counters_.closed;
    counters_.clients = connections_.size();
    if (connections_.empty()) {
        look_.stop();
    }
}

void Engine::on_connection(void* self, MHD_Connection* handle, void** context,
                           MHD_ConnectionNotificationCode what) noexcept {
    Engine& engine = *static_cast<Engine*>(self);
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        engine.disconnected(context);
        return;
    }
    try {
        engine.connected(handle, context);
    } catch (const std::exception&) { // no memory: without a context no request of it is handled
        *context = nullptr;
    }
}

} // namespace ekey::http
