// Guards address strings and the numbers in them (ekeyd/config/address.h, kinds.h), which come from the
// command line, the file and the control socket. Promise: an address that is accepted and put together again
// from its parts has the same parts; a number that is accepted is what was written and within its limits; a
// suggestion is one of the known words; a refusal is one line.
#include <string>

#include "ekeyd/config/address.h"
#include "ekeyd/config/kinds.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using namespace ekey::config;

namespace {

void check_address_text(std::string_view text) {
    const auto address = parse_address(text);
    if (!address) {
        must(!address.error().what.empty(), "a refusal says why");
        must(text.size() > 4096 || address.error().what.find('\n') == std::string::npos,
             "a refusal is one line");
        for (const Role role : {Role::source, Role::listen, Role::sink, Role::control})
            must(!check_address(role, text), "what is no address is none in any role");
        return;
    }
    must(address->text == text, "an address keeps its text");
    std::string again = address->kind + ':' + escaped(address->rest);
    for (const auto& [name, value] : address->parameters) {
        must(!value.empty() && address->find(name) == &value, "a parameter has a value and is found");
        again += ',' + name + '=' + escaped(value);
    }
    if (again.size() <= 4096) {
        const auto second = parse_address(again);
        must(second && second->kind == address->kind && second->rest == address->rest &&
                 second->parameters == address->parameters,
             "an address put together again has the same parts");
    }
    for (const Role role : {Role::source, Role::listen, Role::sink, Role::control})
        if (const auto checked = check_address(role, text))
            must(checked->kind == address->kind && checked->rest == address->rest,
                 "a role changes nothing of an address");
    must(address->parameters.empty() || !check_parameters(*address, {}), "unknown parameters are refused");

    const auto host_port = parse_host_port(address->rest);
    if (host_port) {
        const bool bracketed = address->rest.starts_with('[');
        const std::string host = bracketed ? '[' + host_port->host + ']' : host_port->host;
        const std::string port = address->rest.substr(std::min(host.size() + 1, address->rest.size()));
        must(address->rest.starts_with(host + ':') && std::to_string(host_port->port).size() <= port.size(),
             "host and port are what was written");
    }
    if (const auto cid_port = parse_cid_port(address->rest)) {
        must(address->rest.ends_with(std::to_string(cid_port->port)) && cid_port->port != 0,
             "a port of vsock is what was written, and never none");
    }
}

void check_numbers(std::string_view text) {
    const auto number = parse_number("n", text, 3, 1u << 20);
    must(!number || (*number >= 3 && *number <= 1u << 20), "a number is within its limits");
    must(!number || text.ends_with(std::to_string(*number)), "a number is what was written");
    const auto decimal = parse_decimal("d", text, 0, 8);
    must(!decimal || (*decimal >= 0 && *decimal <= 8), "a decimal is within its limits");
    const auto mode = parse_mode(text);
    must(!mode || *mode <= 07777, "a mode has twelve bits");
    constexpr std::string_view words[] = {"mode", "group", "max-clients", "allow", "rate"};
    const auto near = nearest(text, words);
    must(near.empty() || std::find(std::begin(words), std::end(words), near) != std::end(words),
         "a suggestion is a known word");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    check_address_text(text);
    check_numbers(text);
    return 0;
}
