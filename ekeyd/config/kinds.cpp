#include "ekeyd/config/kinds.h"

#include <vector>

#include <sys/un.h>

#include "ekeyd/config/unknown.h"

namespace ekey::config {

namespace {

enum class Rest {
    none,               // nothing may follow the kind
    path,               // an absolute path
    socket,             // an absolute path that fits a socket's address
    host_port,          // HOST:PORT
    optional_host_port, // HOST:PORT or nothing
    cid_port,           // CID:PORT
    egd,                // unix: and a socket's path, or tcp: and HOST:PORT
    usb,                // "usb", or "usb:" and a serial number or a place
    usb_path,           // as usb, or an absolute path
};

struct Kind {
    Role role;
    std::string_view name;
    Rest rest;
};

// A kind a line.
// clang-format off
constexpr Kind kinds[] = {
#define USB_DONGLE(name, rest) {Role::source, #name, Rest::rest},
#include "ekeyd/config/usb_dongles.inc"
#undef USB_DONGLE
    {Role::source, "device", Rest::path},
    {Role::source, "tty", Rest::path},
    {Role::source, "havege", Rest::none},
    {Role::source, "jitter", Rest::none},
    {Role::source, "egd", Rest::egd},
    {Role::source, "sealed", Rest::host_port},
    {Role::listen, "unix", Rest::socket},
    {Role::listen, "tcp", Rest::host_port},
    {Role::listen, "vsock", Rest::cid_port},
    {Role::listen, "sealed", Rest::host_port},
    {Role::listen, "http", Rest::optional_host_port},
    {Role::listen, "pollen", Rest::host_port},
    {Role::sink, "kernel", Rest::none},
    {Role::sink, "file", Rest::path},
    {Role::sink, "fifo", Rest::path},
    {Role::control, "unix", Rest::socket},
    {Role::control, "tcp", Rest::host_port},
};
// clang-format on

std::string_view name(Role role) {
    switch (role) {
    case Role::source: return "source";
    case Role::listen: return "listen";
    case Role::sink: return "sink";
    case Role::control: return "control";
    }
    return {};
}

std::vector<std::string_view> kinds_of(Role role) {
    std::vector<std::string_view> names;
    for (const Kind& kind : kinds) {
        if (kind.role == role) {
            names.push_back(kind.name);
        }
    }
    return names;
}

std::string unknown_kind(Role role, const std::string& kind) {
    std::string what = std::string(name(role)) + " has no kind \"" + kind + "\": ";
    const std::vector<std::string_view> names = kinds_of(role);
    if (const std::string_view near = nearest(kind, names); !near.empty()) {
        return what + "did you mean " + std::string(near) + "?";
    }
    what += "it takes ";
    for (std::size_t i = 0; i < names.size(); ++i) {
        what += (i == 0 ? "" : ", ") + std::string(names[i]);
    }
    return what;
}

Result<void> check_rest(const Kind& kind, const Address& address) {
    switch (kind.rest) {
    case Rest::none:
        if (!address.rest.empty()) {
            return fail(address.kind + " stands alone: nothing follows it but ,name=value");
        }
        return {};
    case Rest::path: return check_path(address.rest, false);
    case Rest::socket: return check_path(address.rest, true);
    case Rest::optional_host_port:
        if (address.rest.empty()) {
            return {};
        }
        [[fallthrough]];
    case Rest::host_port:
        if (auto host_port = parse_host_port(address.rest); !host_port) {
            return fail(host_port.error().what);
        }
        return {};
    case Rest::cid_port:
        if (auto cid_port = parse_cid_port(address.rest); !cid_port) {
            return fail(cid_port.error().what);
        }
        return {};
    case Rest::egd:
        if (address.rest.starts_with("unix:")) {
            return check_path(std::string_view(address.rest).substr(5), true);
        }
        if (!address.rest.starts_with("tcp:")) {
            return fail("egd: is followed by unix:/PATH or tcp:HOST:PORT");
        }
        if (auto host_port = parse_host_port(std::string_view(address.rest).substr(4)); !host_port) {
            return fail(host_port.error().what);
        }
        return {};
    case Rest::usb:
    case Rest::usb_path:
        if (address.rest == "usb" || (address.rest.starts_with("usb:") && address.rest.size() > 4)) {
            return {};
        }
        if (kind.rest == Rest::usb_path && address.rest.starts_with('/')) {
            return {};
        }
        return fail(address.kind + " is followed by usb, or by usb: and a serial number or a place" +
                    (kind.rest == Rest::usb_path ? ", or by an absolute path" : ""));
    }
    return {};
}

Result<void> check_control(const Address& address) {
    if (address.kind == "tcp") {
        const std::string host = parse_host_port(address.rest)->host;
        const bool loopback =
            host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
        if (host != "localhost" && host != "::1" && !loopback) {
            return fail(
                "control over TCP asks for no password: only 127.0.0.1, [::1] and localhost are taken");
        }
        return check_parameters(address, {});
    }
    if (const std::string* mode = address.find("mode")) {
        if (auto parsed = parse_mode(*mode); !parsed) {
            return fail(parsed.error().what);
        }
    }
    return check_parameters(address, {"mode", "user", "group"});
}

Result<void> check_source(const Address& address) {
    if (const std::string* claim = address.find("min-entropy")) {
        // A byte holds 8 bits at most; 0 is mixed and not credited.
        if (auto parsed = parse_decimal("min-entropy", *claim, 0, 8); !parsed) {
            return fail(parsed.error().what);
        }
    }
    return {};
}

} // namespace

Result<void> check_path(std::string_view path, bool socket) {
    const std::string shown(path);
    if (path.empty()) {
        return fail("a path is missing");
    }
    if (may_be_key(path)) {
        return fail("a path that begins with / is expected; what is there is not shown, as it may be a key "
                    "itself: write the path of its file");
    }
    if (path.front() != '/') {
        return fail("path \"" + shown + "\" does not begin with /: the daemon runs in the root folder");
    }
    if (socket && path.size() >= sizeof(sockaddr_un::sun_path)) {
        return fail("path \"" + shown + "\" is too long for a socket: at most 107 bytes");
    }
    return {};
}

Result<Address> check_address(Role role, std::string_view text) {
    auto address = parse_address(text);
    if (!address) {
        return address;
    }
    const Kind* found = nullptr;
    for (const Kind& kind : kinds) {
        if (kind.role == role && kind.name == address->kind) {
            found = &kind;
        }
    }
    if (found == nullptr) {
        return fail(unknown_kind(role, address->kind));
    }
    if (auto rest = check_rest(*found, *address); !rest) {
        return fail(rest.error().what);
    }
    if (role == Role::control || role == Role::source) {
        auto parameters = role == Role::control ? check_control(*address) : check_source(*address);
        if (!parameters) {
            return fail(parameters.error().what);
        }
    }
    return address;
}

} // namespace ekey::config
