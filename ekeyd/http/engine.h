// libmicrohttpd on the loop, for whatever answers requests: it reads and writes HTTP/1.1 on connections that
// it is handed, and calls its handler with each whole request.
//
// The library has an epoll descriptor of its own, which the loop watches; it has no thread and no listening
// socket. Nobody can hold a connection for long: one that is silent is closed, and so is one that has not got
// its answer some time after it could ask, however busily it sends. The time in which a request is set aside
// does not count: the handler bounds that.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "ekeyd/http/certificate.h"
#include "ekeyd/http/response.h"
#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"

namespace ekey::http {

class Engine;

// One connection, and the request on it.
struct Connection {
    // What the handler keeps with a connection, for as long as that is there.
    struct Data {
        virtual ~Data() = default;
    };

    std::string_view method, path; // valid while a request is handled
    std::string query, body;       // as they were sent, without the ?
    bool too_long = false;         // the body is longer than the handler takes, and lost
    std::unique_ptr<Data> data;

    // A header of the request; empty when there is none.
    std::string_view header(const char* name) const;
    // It is reset, or its peer has closed its side: nobody waits for an answer any more.
    bool gone() const;

    // For the handler, from on_request(). The response may be destroyed at once; a borrowed body lasts until
    // on_over().
    void respond(unsigned status, const Response& response);
    void set_aside();
    // From anywhere, when it is set aside: on_request() is called again, later, from the loop.
    void resume();

  private:
    friend class Engine;
    Connection(Engine& by, MHD_Connection* handle, int its_socket, Time until)
        : engine(by), library_handle(handle), socket(its_socket), deadline(until), heard(Loop::now()) {}

    Duration silent() const; // for how long
    bool said_something() const;

    Engine& engine;
    MHD_Connection* library_handle;
    int socket; // the library's
    Time deadline;
    Time heard; // when it was heard of last, by what the library tells: not of bytes before a request's head
    bool aside = false;
    bool named = false;         // a request line has come, ever
    bool pending = false;       // the request on it has not been handled yet
    bool late = false;          // its time is over
    MHD_Result result = MHD_NO; // of the request that is handled
};

class Handler {
  public:
    // From within Engine::add().
    virtual void on_connected(Connection& connection) { static_cast<void>(connection); }
    // The head of a request is there.
    virtual void on_head(Connection& connection) { static_cast<void>(connection); }
    // How much of a request's body is wanted; one that is longer is handled without. Not asked for GET and
    // HEAD, whose bodies mean nothing. 0: no body is wanted with this method, and the request is handled
    // before it comes.
    virtual std::size_t longest_body(const Connection& connection) {
        static_cast<void>(connection);
        return 0;
    }
    // A whole request is there: respond() or set_aside() it, or the connection ends. Called again after
    // resume().
    virtual void on_request(Connection& connection) = 0;
    // The answer was sent, or cannot be. Not called for a request that the handler has not seen.
    virtual void on_over(Connection& connection) { static_cast<void>(connection); }
    virtual void on_disconnected(Connection& connection) { static_cast<void>(connection); }

  protected:
    ~Handler() = default;
};

struct ConnectionLimits {
    unsigned max_clients = 64;
    // Seconds without a byte, and for a whole request with its answer.
    unsigned silence = 10, request = 30;
};

class Engine {
  public:
    // Says why it cannot start. Library, loop and handler must outlive it. With a certificate it speaks TLS;
    // that is not needed any more when it has started.
    static Result<std::unique_ptr<Engine>> start(const Library& library, Loop& loop, Handler& handler,
                                                 ConnectionLimits limits, const Certificate* tls = nullptr);
    ~Engine(); // closes all connections
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Takes over a connected, non-blocking socket; false: there are too many already, and it is closed.
    bool add(Fd socket);

    struct Counters {
        std::uint64_t closed = 0, timed_out = 0; // timed_out: of those closed, by ConnectionLimits
        std::uint64_t clients = 0;               // now
        std::uint64_t errors = 0; // what came and was no request: the library has ended or refused it
    };
    const Counters& counters() const { return counters_; }

  private:
    friend struct Connection;
    Engine(const Library& library, Loop& loop, Handler& handler, ConnectionLimits limits);
    Result<void> start(const Certificate* tls);
    void on_ready(int) { run(); }
    void on_timer() { run(); }
    void on_look();
    void run();
    MHD_Result handle(Connection& connection);
    void connected(MHD_Connection* handle, void** context);
    void disconnected(void** context);
    Connection* find(MHD_Connection* handle) const;

    static void on_message(void* self, const char* format, va_list arguments) noexcept;
    static void* on_uri(void* self, const char* uri, MHD_Connection* handle) noexcept;
    static MHD_Result on_access(void* self, MHD_Connection* handle, const char* path, const char* method,
                                const char* version, const char* upload, std::size_t* upload_size,
                                void** request) noexcept;
    static void on_completed(void* self, MHD_Connection* handle, void** request,
                             MHD_RequestTerminationCode why) noexcept;
    static void on_connection(void* self, MHD_Connection* handle, void** context,
                              MHD_ConnectionNotificationCode what) noexcept;

    const Library& library_;
    Handler& handler_;
    ConnectionLimits limits_;
    Counters counters_;
    std::list<Connection> connections_;
    IoWatcher watcher_;
    Timer timer_, look_;
    MHD_Daemon* daemon_ = nullptr;
    bool started_ = false;
    std::string message_; // of the library, until it has started
};

} // namespace ekey::http
