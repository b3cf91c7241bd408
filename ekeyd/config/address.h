// Addresses as the command line, the file and the control socket write them: KIND:REST[,name=value...]
// An IPv6 host stands in brackets: tcp:[::1]:8888
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace ekey::config {

struct Address {
    std::string kind; // "tcp"
    std::string rest; // "127.0.0.1:8888"
    std::map<std::string, std::string, std::less<>> parameters;
    std::string text; // as it was written

    // The value of a parameter, or null.
    const std::string* find(std::string_view name) const;
    // The values of a parameter that may be given several times, in their order; empty when it was not given.
    std::vector<std::string> values(std::string_view name) const;
};

// KIND and names are lower case; a KIND that needs no REST may stand alone (kernel). Errors name the
// offending part. Control characters and text above 4,096 characters are refused, as is a parameter given
// twice or without a value. allow, deny, allow-uid and allow-gid may be given several times; `parameters`
// then holds their values with commas between them. A comma in REST or in a value is written as a backslash
// and a comma, a backslash before a comma as two.
Result<Address> parse_address(std::string_view text);

// Text as it stands in an address, for REST or a value: with its commas kept.
std::string escaped(std::string_view text);

// Refuses parameters outside `known`, naming the nearest known one as a suggestion.
Result<void> check_parameters(const Address& address, std::span<const std::string_view> known);
Result<void> check_parameters(const Address& address, std::initializer_list<std::string_view> known);

struct HostPort {
    std::string host;   // without brackets; a name or a number
    std::uint16_t port; // 0: a listener lets the kernel choose
};
// Splits HOST:PORT and checks the form; looks nothing up.
Result<HostPort> parse_host_port(std::string_view rest);

struct CidPort {
    std::uint32_t cid;  // of AF_VSOCK: cid_any, cid_local, cid_host, or a guest's number
    std::uint32_t port; // a 32-bit number here (vsock(7)); never VMADDR_PORT_ANY
};
// <linux/vm_sockets.h>: VMADDR_CID_ANY, VMADDR_CID_LOCAL, VMADDR_CID_HOST
constexpr std::uint32_t cid_any = 0xffffffff, cid_local = 1, cid_host = 2;
// Splits CID:PORT; CID is a number or one of the words any, local and host.
Result<CidPort> parse_cid_port(std::string_view rest);

// Whole numbers and sizes, decimal, within [low, high]; the error says what was expected of `name`.
Result<std::uint64_t> parse_number(std::string_view name, std::string_view text, std::uint64_t low,
                                   std::uint64_t high);
Result<double> parse_decimal(std::string_view name, std::string_view text, double low, double high);
// Octal file mode, 0..07777.
Result<unsigned> parse_mode(std::string_view text);
Result<bool> parse_yes_no(std::string_view name, std::string_view text); // yes/no, true/false, on/off, 1/0

// The nearest of `words` to `word` when it is near enough to be a slip (one letter, or two in a word of five
// and more), else empty.
std::string_view nearest(std::string_view word, std::span<const std::string_view> words);
std::string_view nearest(std::string_view word, std::initializer_list<std::string_view> words);

} // namespace ekey::config
