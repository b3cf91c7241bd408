#include "ekeyd/config/kinds.h"
#include "ekeyd/listeners/egd_listener.h"
#include "ekeyd/listeners/output.h"
#include "ekeyd/listeners/sealed_listener.h"
#include "ekeyd/runtime/tcp_socket.h"
#include "ekeyd/runtime/vsock_socket.h"

namespace ekey {

namespace {

struct Options {
    Limits limits;
    std::optional<UnixListener::Options> unix_socket;
    std::optional<DrbgOptions> drbg; // output=drbg
    std::optional<config::HostPort> tcp;
    std::optional<config::CidPort> vsock;
    std::string peers; // of a sealed listener
};

Result<void> read_common(const config::Address& address, Options& options) {
    std::vector<std::string_view> known = Limits::parameters(address.kind);
    known.insert(known.end(), output_parameters.begin(), output_parameters.end());
    if (address.kind == "unix") {
        known.insert(known.end(), {"mode", "user", "group"});
    } else if (address.kind == "sealed") {
        known.emplace_back("peers");
        known.insert(known.end(), NetworkAccess::parameters.begin(), NetworkAccess::parameters.end());
    }
    if (auto checked = config::check_parameters(address, known); !checked) {
        return checked;
    }
    auto limits = Limits::read(address);
    if (!limits) {
        return tl::unexpected(limits.error());
    }
    options.limits = std::move(*limits);
    auto output = read_output(address);
    if (!output) {
        return tl::unexpected(output.error());
    }
    options.drbg = *output;
    return {};
}

Result<void> read_unix(const config::Address& address, Options& options) {
    if (auto read = read_common(address, options); !read) {
        return read;
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
    return {};
}

// HOST:PORT or CID:PORT, as `parse` reads it.
template <class Where>
Result<void> read_networked(const config::Address& address, Options& options,
                            Result<Where> (*parse)(std::string_view), std::optional<Where>& into) {
    if (auto read = read_common(address, options); !read) {
        return read;
    }
    auto where = parse(address.rest);
    if (!where) {
        return tl::unexpected(where.error());
    }
    into = std::move(*where);
    return {};
}

Result<void> read_sealed(const config::Address& address, Options& options) {
    if (auto read = read_networked(address, options, config::parse_host_port, options.tcp); !read) {
        return read;
    }
    if (address.find("handshake") == nullptr) {
        options.limits.timeouts.handshake = SealedListener::default_handshake;
    }
    const std::string* const peers = address.find("peers");
    if (peers == nullptr) {
        return fail("a sealed listener needs peers=FILE: who may come, by public key");
    }
    options.peers = *peers;
    return config::check_path(options.peers, false);
}

Result<Options> read_options(const config::Address& address) {
    Options options;
    Result<void> read;
    if (address.kind == "unix") {
        read = read_unix(address, options);
    } else if (address.kind == "tcp") {
        read = read_networked(address, options, config::parse_host_port, options.tcp);
    } else if (address.kind == "vsock") {
        read = read_networked(address, options, config::parse_cid_port, options.vsock);
    } else if (address.kind == "sealed") {
        read = read_sealed(address, options);
    } else {
        read = fail("listen has no kind \"" + address.kind + "\": it takes unix, tcp, sealed and vsock");
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

namespace {

Result<std::unique_ptr<Listener>> make_sealed(Loop& loop, Pool& pool, const config::Address& address,
                                              Options& options, Mixer* mixer,
                                              const std::function<Result<SealedNode*>()>& node) {
    auto known = Peers::read(options.peers);
    if (!known) {
        return tl::unexpected(known.error());
    }
    const auto self = node ? node() : fail("this host has no key for sealed links here");
    if (!self) {
        return tl::unexpected(self.error());
    }
    return std::make_unique<SealedListener>(
        loop, pool, address,
        SealedListener::Options{std::move(options.peers), std::move(options.limits), options.drbg, mixer},
        std::move(*known), **self);
}

template <class Opened>
Result<Sockets> as_sockets(Opened opened) {
    return opened ? Result<Sockets>(Sockets(std::move(*opened))) : tl::unexpected(opened.error());
}

} // namespace

Result<std::unique_ptr<Listener>> prepare_listener(Loop& loop, Pool& pool, const config::Address& address,
                                                   Mixer* mixer,
                                                   const std::function<Result<SealedNode*>()>& node) {
    auto options = read_options(address);
    if (!options) {
        return tl::unexpected(options.error());
    }
    if (auto found = options->limits.peers.look_up(); !found) {
        return tl::unexpected(found.error());
    }
    if (address.kind == "sealed") {
        return make_sealed(loop, pool, address, *options, mixer, node);
    }
    return std::make_unique<EgdListener>(loop, pool, address,
                                         make_supply(pool, options->drbg, options->limits.local),
                                         std::move(options->limits), mixer);
}

Result<Sockets> open_sockets(const Loop& loop, const config::HostPort& where, const PassedTo& passed) {
    // Whoever waits for a name server while the loop runs makes all clients wait.
    const auto names = loop.running() ? HostNames::refuse : HostNames::look_up;
    return as_sockets(listen_tcp(where.host, where.port, names, passed));
}

Result<Sockets> open_sockets(const Loop& loop, const config::Address& address, PassedSockets* passed) {
    auto options = read_options(address);
    if (!options) {
        return tl::unexpected(options.error());
    }
    const PassedTo passed_to{passed, address.text};
    if (options->unix_socket) {
        options->unix_socket->passed = passed_to;
        return as_sockets(UnixListener::open(*options->unix_socket));
    }
    return options->vsock ? as_sockets(listen_vsock(options->vsock->cid, options->vsock->port, passed_to))
                          : open_sockets(loop, *options->tcp, passed_to);
}

Result<void> change_access(Sockets& sockets, const config::Address& from, const config::Address& to) {
    const auto before = read_options(from), after = read_options(to);
    UnixListener* const socket = sockets.unix_socket();
    if (!before || !after || socket == nullptr || !before->unix_socket || !after->unix_socket) {
        return {};
    }
    return before->unix_socket->same_access(*after->unix_socket) ? Result<void>()
                                                                 : socket->change_access(*after->unix_socket);
}

Result<std::unique_ptr<Listener>> make_listener(Loop& loop, Pool& pool, const config::Address& address,
                                                Mixer* mixer,
                                                const std::function<Result<SealedNode*>()>& node,
                                                PassedSockets* passed) {
    auto made = prepare_listener(loop, pool, address, mixer, node);
    if (!made) {
        return made;
    }
    auto sockets = open_sockets(loop, address, passed);
    if (!sockets) {
        return tl::unexpected(sockets.error());
    }
    (*made)->listen(std::move(*sockets));
    return made;
}

} // namespace ekey
