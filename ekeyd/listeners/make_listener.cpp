#include "ekeyd/listeners/egd_listener.h"
#include "ekeyd/runtime/tcp_socket.h"

namespace ekey {

namespace {

// A guard against exhaustion, well above what one key can feed; ten thousand clients cost some 3 MB here.
constexpr std::uint64_t default_max_clients = 16384, highest_max_clients = 1'000'000;

Result<std::size_t> max_clients(const config::Address& address) {
    const std::string* text = address.find("max-clients");
    if (text == nullptr) {
        return default_max_clients;
    }
    return config::parse_number("max-clients", *text, 1, highest_max_clients);
}

Result<void> check_output(const config::Address& address) {
    const std::string* output = address.find("output");
    if (output == nullptr || *output == "full-entropy") {
        return {};
    }
    return fail("output is \"" + *output + "\": this build serves full-entropy only");
}

Result<std::unique_ptr<Listener>> listen_unix(Loop& loop, Pool& pool, const config::Address& address,
                                              std::size_t clients) {
    UnixListener::Options options;
    options.path = address.rest;
    options.backlog = 65535; // the kernel cuts it to net.core.somaxconn
    if (const std::string* text = address.find("mode")) {
        const auto mode = config::parse_mode(*text);
        if (!mode) {
            return tl::unexpected(mode.error());
        }
        options.mode = *mode;
    }
    if (const std::string* user = address.find("user")) {
        options.user = *user;
    }
    if (const std::string* group = address.find("group")) {
        options.group = *group;
    }
    auto socket = UnixListener::open(options);
    if (!socket) {
        return tl::unexpected(socket.error());
    }
    return std::make_unique<EgdListener>(loop, pool, address, clients, std::move(*socket));
}

Result<std::unique_ptr<Listener>> listen_on_tcp(Loop& loop, Pool& pool, const config::Address& address,
                                                std::size_t clients) {
    const auto where = config::parse_host_port(address.rest);
    if (!where) {
        return tl::unexpected(where.error());
    }
    auto sockets = listen_tcp(where->host, where->port);
    if (!sockets) {
        return tl::unexpected(sockets.error());
    }
    return std::make_unique<EgdListener>(loop, pool, address, clients, std::move(*sockets));
}

} // namespace

Result<std::unique_ptr<Listener>> make_listener(Loop& loop, Pool& pool, const config::Address& address) {
    const bool is_unix = address.kind == "unix";
    if (!is_unix && address.kind != "tcp") {
        return fail("listen has no kind \"" + address.kind + "\": it takes unix and tcp");
    }
    const auto known =
        is_unix ? config::check_parameters(address, {"mode", "user", "group", "max-clients", "output"})
                : config::check_parameters(address, {"max-clients", "output"});
    if (!known) {
        return tl::unexpected(known.error());
    }
    const auto clients = max_clients(address);
    if (!clients) {
        return tl::unexpected(clients.error());
    }
    if (auto output = check_output(address); !output) {
        return tl::unexpected(output.error());
    }
    return is_unix ? listen_unix(loop, pool, address, *clients)
                   : listen_on_tcp(loop, pool, address, *clients);
}

} // namespace ekey
