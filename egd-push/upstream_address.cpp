#include "egd-push/upstream_address.h"

#include <array>

#include <sys/un.h>

#include "protocol/sealed/keys.h"

namespace ekey {

namespace {

using config::Address;

Result<void> check_unix(const Address& address) {
    if (!address.rest.starts_with('/') || address.rest.size() >= sizeof sockaddr_un{}.sun_path) {
        return fail("expected an absolute path of at most 107 characters");
    }
    return {};
}

Result<void> check_char(const Address& address) {
    if (!address.rest.starts_with('/')) {
        return fail("expected the absolute path of a device, such as /dev/virtio-ports/NAME");
    }
    return {};
}

Result<void> check_tcp(const Address& address) {
    const auto host_port = config::parse_host_port(address.rest);
    if (!host_port) {
        return tl::unexpected(host_port.error());
    }
    if (host_port->port == 0) {
        return fail("port is \"0\": expected a whole number from 1 to 65535");
    }
    return {};
}

Result<void> check_sealed(const Address& address) {
    const std::string* key = address.find("key");
    if (key == nullptr) {
        return fail("expected sealed:HOST:PORT,key=PUBLIC_KEY, with the server's public key (ekeydctl pubkey "
                    "shows it)");
    }
    if (!sealed::decode_public_key(*key)) {
        return fail("key is \"" + *key +
                    "\": expected a public key of 44 characters (ekeydctl pubkey shows it)");
    }
    return check_tcp(address);
}

Result<void> check_vsock(const Address& address) {
    const auto cid_port = config::parse_cid_port(address.rest);
    if (!cid_port) {
        return tl::unexpected(cid_port.error());
    }
    if (cid_port->cid == config::cid_any) {
        return fail("any is for listening: a guest's host is host");
    }
    return {};
}

struct Kind {
    std::string_view name;
    Path path;
    Result<void> (*check)(const Address&);
};
constexpr std::array kinds{
    Kind{"unix", Path::local, check_unix},      Kind{"tcp", Path::clear, check_tcp},
    Kind{"sealed", Path::sealed, check_sealed}, Kind{"vsock", Path::local, check_vsock},
    Kind{"char", Path::local, check_char},
};

const Kind* find(std::string_view name) {
    for (const Kind& kind : kinds) {
        if (kind.name == name) {
            return &kind;
        }
    }
    return nullptr;
}

Result<void> check_form(const Address& address) {
    const Kind* kind = find(address.kind);
    if (kind == nullptr) {
        const auto near = config::nearest(address.kind, {"unix", "tcp", "sealed", "vsock", "char"});
        return fail(
            '"' + address.kind + "\" is no kind of upstream: " +
            (near.empty()
                 ? "expected unix:/PATH, tcp:HOST:PORT, sealed:HOST:PORT, vsock:CID:PORT or char:/PATH"
                 : "did you mean " + std::string(near) + "?"));
    }
    if (const auto known = kind->path == Path::sealed ? config::check_parameters(address, {"key"})
                                                      : config::check_parameters(address, {});
        !known) {
        return known;
    }
    return kind->check(address);
}

} // namespace

Result<void> check_upstream(const Address& address) {
    const auto right = check_form(address);
    return right ? right : fail("from " + address.text + ": " + right.error().what);
}

Path path_of(const Address& upstream) {
    return find(upstream.kind)->path;
}

} // namespace ekey
