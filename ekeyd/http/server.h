// Serves documents over HTTP/1.1 to connections that it is handed, on the loop: GET and HEAD, nothing else.
//
// libmicrohttpd parses and writes, on an epoll descriptor of its own that the loop watches. Nobody can hold a
// connection for long: one that is silent is closed, and so is one that has not got its answer some time
// after it could ask, however busily it sends.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ekeyd/http/library.h"
#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"

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

  protected:
    ~Site() = default;
};

struct Limits {
    unsigned max_clients = 64;
    // Seconds without a byte, and for a whole request with its answer.
    unsigned silence = 10, request = 30;
};

class Server {
  public:
    // Says why it cannot start. Library, loop and site must outlive it.
    static Result<std::unique_ptr<Server>> start(const Library& library, Loop& loop, Site& site,
                                                 Limits limits);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Takes over a connected, non-blocking socket; false: there are too many already, and it is closed.
    bool add(Fd socket);

    struct Counters {
        std::uint64_t requests = 0, closed = 0, timed_out = 0; // timed_out: of those closed, by `request`
        std::uint64_t errors = 0;  // answered with a status of 400 or more, 503 apart
        std::uint64_t clients = 0; // now
    };
    const Counters& counters() const { return counters_; }

  private:
    struct Connection {
        int fd; // the library's
        Time deadline;
    };
    using Response = std::unique_ptr<MHD_Response, decltype(&MHD_destroy_response)>;
    struct Kept {
        Response response;
        unsigned status;
        Time made;
    };

    Server(const Library& library, Loop& loop, Site& site, Limits limits);
    Result<void> start();
    void on_ready(int events);
    void on_timer() { run(); }
    void on_look();
    void run();

    MHD_Result answer(MHD_Connection* connection, std::string_view method, std::string_view path);
    const Kept& kept(std::string_view path);
    Response response(const Document& document) const;

    static MHD_Result on_request(void* self, MHD_Connection* connection, const char* path, const char* method,
                                 const char* version, const char* upload, std::size_t* upload_size,
                                 void** request) noexcept;
    static void on_completed(void* self, MHD_Connection* connection, void** request,
                             MHD_RequestTerminationCode why) noexcept;
    static void on_connection(void* self, MHD_Connection* connection, void** context,
                              MHD_ConnectionNotificationCode what) noexcept;

    const Library& library_;
    Site& site_;
    Limits limits_;
    Counters counters_;
    std::list<Connection> connections_;
    std::map<std::string, Kept, std::less<>> kept_; // by path
    std::optional<Kept> nothing_, not_allowed_;     // 404, 405
    IoWatcher watcher_;
    Timer timer_, look_;
    MHD_Daemon* daemon_ = nullptr;
};

} // namespace ekey::http
