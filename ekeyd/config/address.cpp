#include "ekeyd/config/address.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <numeric>
#include <vector>

namespace ekey::config {

namespace {

// Longer than any path (PATH_MAX is 4,096) that could be meant.
constexpr std::size_t longest_address = 4096;
constexpr std::size_t longest_decimal = 32; // digits that no sensible number has
constexpr std::size_t longest_host = 253;   // RFC 1035 2.3.4, without the last dot

constexpr std::string_view repeatable[] = {"allow", "deny", "allow-uid", "allow-gid"};

bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_word(std::string_view text) {
    return !text.empty() && is_lower(text.front()) && text.back() != '-' &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
}

std::string quote(std::string_view text) {
    return '"' + std::string(text) + '"';
}

// Splits at commas; `\,` and `\\` stand for the character after the backslash.
std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ',' || text[i + 1] == '\\')) {
            parts.back() += text[++i];
        } else if (text[i] == ',') {
            parts.emplace_back();
        } else {
            parts.back() += text[i];
        }
    }
    return parts;
}

// Optimal string alignment: insertions, deletions, replacements and swapped neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
    const std::size_t width = b.size() + 1;
    std::vector<std::size_t> d((a.size() + 1) * width);
    for (std::size_t i = 0; i <= a.size(); ++i) {
        d[i * width] = i;
    }
    std::iota(d.begin(), d.begin() + static_cast<std::ptrdiff_t>(width), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            std::size_t best = std::min(d[(i - 1) * width + j] + 1, d[i * width + j - 1] + 1);
            best = std::min(best, d[(i - 1) * width + j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = std::min(best, d[(i - 2) * width + j - 2] + 1);
            }
            d[i * width + j] = best;
        }
    }
    return d.back();
}

} // namespace

const std::string* Address::find(std::string_view name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() ? nullptr : &found->second;
}

std::vector<std::string> Address::values(std::string_view name) const {
    std::vector<std::string> values;
    const std::string* all = find(name);
    for (std::size_t at = 0; all != nullptr && at <= all->size();) {
        const std::size_t end = std::min(all->find(',', at), all->size());
        values.push_back(all->substr(at, end - at));
        at = end + 1;
    }
    return values;
}

Result<Address> parse_address(std::string_view text) {
    if (text.empty()) {
        return fail("an address is empty: expected KIND:REST[,name=value...]");
    }
    if (text.size() > longest_address) {
        return fail("an address is longer than 4096 characters");
    }
    if (std::any_of(text.begin(), text.end(), is_control)) {
        return fail("an address holds a control character");
    }
    std::vector<std::string> parts = split(text);
    Address address;
    address.text = text;
    const std::string& first = parts.front();
    const std::size_t colon = first.find(':');
    address.kind = first.substr(0, colon);
    if (colon != std::string::npos) {
        address.rest = first.substr(colon + 1);
    }
    if (!is_word(address.kind)) {
        const bool is_path = first.find('/') < colon;
        return fail(
            "address " + quote(text) + " has no kind: expected KIND:REST[,name=value...]" +
            (is_path ? ", such as unix:" + first + ", or entropykey:" + first + " for a source" : ""));
    }
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const std::size_t equals = parts[i].find('=');
        const std::string name = parts[i].substr(0, equals);
        if (!is_word(name)) {
            return fail("address " + quote(text) + ": " + quote(parts[i]) +
                        " is no name=value (a comma that belongs to the value is written \\,)");
        }
        if (equals == std::string::npos || equals + 1 == parts[i].size()) {
            return fail("address " + quote(text) + ": parameter " + name + " has no value: write " + name +
                        "=VALUE");
        }
        const auto [given, fresh] = address.parameters.emplace(name, parts[i].substr(equals + 1));
        if (!fresh && std::find(std::begin(repeatable), std::end(repeatable), name) != std::end(repeatable)) {
            given->second += ',' + parts[i].substr(equals + 1);
        } else if (!fresh) {
            return fail("address " + quote(text) + ": parameter " + name + " is given twice");
        }
    }
    return address;
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == ',' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    return out;
}

Result<void> check_parameters(const Address& address, std::initializer_list<std::string_view> known) {
    return check_parameters(address, std::span<const std::string_view>(known.begin(), known.size()));
}

Result<void> check_parameters(const Address& address, std::span<const std::string_view> known) {
    for (const auto& [name, value] : address.parameters) {
        if (std::find(known.begin(), known.end(), name) != known.end()) {
            continue;
        }
        std::string what =
            "address " + quote(address.text) + ": " + address.kind + " has no parameter " + quote(name);
        if (const std::string_view near = nearest(name, known); !near.empty()) {
            what += ": did you mean " + std::string(near) + "?";
        } else if (known.empty()) {
            what += ": it takes none";
        } else {
            what += ": it takes ";
            for (const std::string_view& word : known) {
                what += (&word == &known.front() ? "" : ", ") + std::string(word);
            }
        }
        return fail(std::move(what));
    }
    return {};
}

Result<HostPort> parse_host_port(std::string_view rest) {
    const std::size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos || rest.back() == ']') {
        return fail(quote(rest) + " has no port: expected HOST:PORT, such as 127.0.0.1:8888 or [::1]:8888");
    }
    std::string_view host = rest.substr(0, colon);
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return fail(quote(rest) + ": an IPv6 host stands in brackets, such as [::1]:8888");
    }
    if (host.empty()) {
        return fail(quote(rest) +
                    " has no host: expected HOST:PORT; every address of this host is 0.0.0.0 or [::]");
    }
    const auto fits = [bracketed](char c) {
        return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_' ||
               (bracketed && (c == ':' || c == '%'));
    };
    if (host.size() > longest_host || !std::all_of(host.begin(), host.end(), fits)) {
        return fail(quote(host) + " is no host name or address");
    }
    const auto port = parse_number("port", rest.substr(colon + 1), 0, 65535);
    if (!port) {
        return fail(quote(rest) + ": " + port.error().what);
    }
    return HostPort{std::string(host), static_cast<std::uint16_t>(*port)};
}

Result<CidPort> parse_cid_port(std::string_view rest) {
    const std::size_t colon = rest.find(':');
    if (colon == std::string_view::npos) {
        return fail(quote(rest) + " has no port: expected CID:PORT, such as host:888 or 2:888");
    }
    const std::string_view cid = rest.substr(0, colon);
    const auto port = parse_number("port", rest.substr(colon + 1), 1, 0xfffffffe);
    if (!port) {
        return fail(quote(rest) + ": " + port.error().what);
    }
    const auto to = static_cast<std::uint32_t>(*port);
    for (const auto& [word, number] : {std::pair<std::string_view, std::uint32_t>{"any", cid_any},
                                       {"local", cid_local},
                                       {"host", cid_host}}) {
        if (cid == word) {
            return CidPort{number, to};
        }
    }
    const auto number = parse_number("CID", cid, 0, cid_any);
    if (!number) {
        return fail(quote(rest) + ": " + number.error().what + ", or any, local or host");
    }
    return CidPort{static_cast<std::uint32_t>(*number), to};
}

Result<std::uint64_t> parse_number(std::string_view name, std::string_view text, std::uint64_t low,
                                   std::uint64_t high) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < low ||
        value > high) {
        return fail(std::string(name) + " is " + quote(text) + ": expected a whole number from " +
                    std::to_string(low) + " to " + std::to_string(high));
    }
    return value;
}

// Not from_chars: its tables for every double would be a third of the guest tool's memory.
Result<double> parse_decimal(std::string_view name, std::string_view text, double low, double high) {
    // What 15 digits of a fraction do not tell is left out: so both numbers here, and what they are divided
    // to, are exact, and a value that is printed and read again is the same.
    constexpr double enough = 1e14, finest = 1e15;
    double value = 0, scale = 1;
    bool fraction = false;
    // A second dot, a sign, an exponent or a word makes it no number.
    bool whole = text.size() <= longest_decimal && std::any_of(text.begin(), text.end(), is_digit);
    for (const char c : text) {
        if (is_digit(c)) {
            if (!fraction || (value < enough && scale < finest)) {
                value = value * 10 + (c - '0');
                scale *= fraction ? 10 : 1;
            }
        } else {
            whole = whole && c == '.' && !fraction;
            fraction = true;
        }
    }
    value /= scale;
    if (!whole || value < low || value > high) {
        const auto shown = [](double number) {
            char digits[32];
            std::snprintf(digits, sizeof digits, "%.10g", number);
            return std::string(digits);
        };
        return fail(std::string(name) + " is " + quote(text) + ": expected a number from " + shown(low) +
                    " to " + shown(high));
    }
    return value;
}

Result<unsigned> parse_mode(std::string_view text) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || value > 07777) {
        return fail("mode is " + quote(text) + ": expected an octal file mode, such as 0660");
    }
    return value;
}

Result<bool> parse_yes_no(std::string_view name, std::string_view text) {
    if (text == "yes" || text == "true" || text == "on" || text == "1") {
        return true;
    }
    if (text == "no" || text == "false" || text == "off" || text == "0") {
        return false;
    }
    return fail(std::string(name) + " is " + quote(text) + ": expected yes or no");
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> words) {
    if (word.size() > 64) {
        return {}; // no slip of a word that we know, and the comparison is quadratic
    }
    std::string_view best;
    // One slip in a short word, two in a longer one.
    std::size_t limit = word.size() <= 4 ? 1 : 2;
    for (const std::string_view candidate : words) {
        const std::size_t slips = distance(word, candidate);
        if (slips <= limit && slips < std::max(word.size(), candidate.size())) {
            best = candidate;
            limit = slips == 0 ? 0 : slips - 1;
            if (limit == 0) {
                break;
            }
        }
    }
    return best;
}

std::string_view nearest(std::string_view word, std::initializer_list<std::string_view> words) {
    return nearest(word, std::span<const std::string_view>(words.begin(), words.size()));
}

} // namespace ekey::config
