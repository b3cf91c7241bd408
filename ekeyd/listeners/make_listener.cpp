#include "ekeyd/listeners/egd_listener.h"
#include "ekeyd/runtime/tcp_socket.h"

namespace ekey {

namespace {

// A guard against exhaustion, well above what one key can feed; ten thousand clients cost some 3 MB here.
constexpr std::uint64_t default_max_clients = 16384, highest_max_clients = 1'000'000;

struct Options {
    std::size_t max_clients = default_max_clients;
    std::optional<UnixListener::Options> unix_socket;
    config::HostPort tcp; // when it is no Unix socket
};

Result<void> read_common(const config::Address& address, Options& options) {
    if (const std::string* text = address.find("max-clients")) {
        const auto number = config::parse_number("max-clients", *text, 1, highest_max_clients);
        if (!number) {
            return tl::unexpected(number.error());
        }
        options.max_clients = *number;
    }
    const std::string* output = address.find("output");
    if (output != nullptr && *output != "full-entropy") {
        return fail("output is \"" + *output + "\": this build serves full-entropy only");
    }
    return {};
}

Result<void> read_unix(const config::Address& address, Options& options) {
    if (auto known = config::check_parameters(address, {"mode", "user", "group", "max-clients", "output"});
        !known) {
        return known;
    }
    UnixListener::Options& socket = options.unix_socket.emplace();
    socket.path = address.rest;
    socket.backlog = 65535; // the kernel cuts it to net.core.somaxconn
    if (const std::string* text = address.find("mode")) {
        const auto mode = config::parse_mode(*text);
        if (!mode) {
            return tl::unexpected(mode.error());
        }
        socket.mode = *mode;
    }
    if (const std::string* user = address.find("user")) {
        socket.user = *user;
    }
    if (const std::string* group = address.find("group")) {
        socket.group = *group;
    }
    return read_common(address, options);
}

Result<void> read_tcp(const config::Address& address, Options& options) {
    if (auto known = config::check_parameters(address, {"max-clients", "output"}); !known) {
        return known;
    }
    auto where = config::parse_host_port(address.rest);
    if (!where) {
        return tl::unexpected(where.error());
    }
    options.tcp = std::move(*where);
    return read_common(address, options);
}

Result<Options> read_options(const config::Address& address) {
    Options options;
    Result<void> read;
    if (address.kind == "unix") {
        read = read_unix(address, options);
    } else if (address.kind == "tcp") {
        read = read_tcp(address, options);
    } else {
        read = fail("listen has no kind \"" + address.kind + "\": it takes unix and tcp");
    }
    if (!read) {
        return tl::unexpected(read.error());
    }
    return options;
}

} // namespace

Result<void> check_listener(const config::Address& address) {
    const auto options = read_options(address);
    return options ? Result<void>() : tl::unexpected(options.error());
}

Result<std::unique_ptr<Listener>> make_listener(Loop& loop, Pool& pool, const config::Address& address) {
    const auto options = read_options(address);
    if (!options) {
        return tl::unexpected(options.error());
    }
    if (options->unix_socket) {
        auto socket = UnixListener::open(*options->unix_socket);
        if (!socket) {
            return tl::unexpected(socket.error());
        }
        return std::make_unique<EgdListener>(loop, pool, address, options->max_clients, std::move(*socket));
    }
    auto sockets = listen_tcp(options->tcp.host, options->tcp.port);
    if (!sockets) {
        return tl::unexpected(sockets.error());
    }
    return std::make_unique<EgdListener>(loop, pool, address, options->max_clients, std::move(*sockets));
}

} // namespace ekey
