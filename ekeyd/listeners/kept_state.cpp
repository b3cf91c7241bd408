#include "ekeyd/listeners/kept_state.h"

#include <charconv>

#include <sys/socket.h>

namespace ekey {

namespace {

constexpr std::string_view heading = "ekeyd clients 1", listener_word = "listener ", nothing = "-";
constexpr std::string_view digits = "0123456789abcdef";

std::string hex(ByteView bytes) {
    std::string text;
    for (const Byte byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text.empty() ? std::string(nothing) : text;
}

bool parse_hex(std::string_view text, Owed& owed) {
    if (text == nothing) {
        return true;
    }
    if (text.empty() || text.size() % 2 != 0 || !owed.fits(text.size() / 2)) {
        return false;
    }
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const std::size_t high = digits.find(text[i]), low = digits.find(text[i + 1]);
        if (high == std::string_view::npos || low == std::string_view::npos) {
            return false;
        }
        const Byte byte[] = {static_cast<Byte>(high << 4 | low)};
        owed.add(byte);
    }
    return true;
}

// Cuts off a line; nothing when there is no whole one.
std::optional<std::string_view> next_line(std::string_view& text) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) {
        return std::nullopt;
    }
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return line;
}

} // namespace

std::uint64_t socket_cookie(int fd) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

std::string KeptState::encode(const std::vector<KeptListener>& listeners) {
    std::string text = std::string(heading) + '\n';
    for (const KeptListener& listener : listeners) {
        text += std::string(listener_word) + listener.where + '\n';
        for (const KeptClient& client : listener.clients) {
            if (const std::uint64_t cookie = socket_cookie(client.socket.get()); cookie != 0) {
                text += std::to_string(cookie) + ' ' + hex(client.owed.view()) + '\n';
            }
        }
    }
    return text;
}

Result<KeptState> KeptState::parse(std::string_view text) {
    KeptState state;
    if (text.size() > longest_text || next_line(text) != heading) {
        return fail("it is no list of clients that this ekeyd knows");
    }
    for (std::size_t number = 2; !text.empty(); ++number) {
        const auto line = next_line(text);
        const auto parsed = line ? state.parse_line(*line) : fail("it is cut off");
        if (!parsed) {
            return fail("line " + std::to_string(number) + ": " + parsed.error().what);
        }
    }
    return state;
}

Result<void> KeptState::parse_line(std::string_view line) {
    if (line.starts_with(listener_word)) {
        listeners_.emplace_back(line.substr(listener_word.size()));
        return {};
    }
    if (listeners_.empty()) {
        return fail("a client has no listener");
    }
    if (clients_.size() == most_clients) {
        return fail("there are too many clients");
    }
    std::uint64_t cookie = 0;
    const char* const end = line.data() + line.size();
    const auto number = std::from_chars(line.data(), end, cookie);
    Client client{listeners_.size() - 1, {}};
    if (number.ec != std::errc() || number.ptr == end || *number.ptr != ' ' ||
        !parse_hex({number.ptr + 1, end}, client.owed)) {
        return fail("it is no client");
    }
    if (!clients_.emplace(cookie, client).second) {
        return fail("a client is there twice");
    }
    return {};
}

std::optional<KeptState::Client> KeptState::take(std::uint64_t cookie) {
    const auto found = clients_.find(cookie);
    if (found == clients_.end()) {
        return std::nullopt;
    }
    const Client client = found->second;
    clients_.erase(found);
    return client;
}

} // namespace ekey
