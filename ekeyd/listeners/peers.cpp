#include "ekeyd/listeners/peers.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>

#include "ekeyd/config/address.h"
#include "ekeyd/config/unknown.h"
#include "ekeyd/config/words.h"
#include "ekeyd/listeners/rate.h"
#include "ekeyd/runtime/handle.h"

namespace ekey {

namespace {

constexpr std::size_t largest_file = 1 << 20;
constexpr std::size_t longest_name = 64; // it stands in log lines

bool is_name(std::string_view word) {
    return !word.empty() && word.size() <= longest_name && std::all_of(word.begin(), word.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
               c == '_' || c == '-';
    });
}

Result<void> read_option(std::string_view word, Peer& peer) {
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = equals == word.npos ? "" : word.substr(equals + 1);
    if (name == "rate") {
        const auto rate = config::parse_number("rate", value, 1, Rate::highest);
        if (!rate) {
            return tl::unexpected(rate.error());
        }
        peer.rate = *rate;
    } else if (name == "credit") {
        const auto credit = config::parse_number("credit", value, 0, 8);
        if (!credit) {
            return tl::unexpected(credit.error());
        }
        peer.credit = static_cast<Byte>(*credit);
    } else if (name == "output" && (value == "drbg" || value == "full-entropy")) {
        peer.drbg = value == "drbg";
    } else if (name == "output") {
        return fail("output is \"" + std::string(value) + "\": it takes full-entropy and drbg");
    } else {
        constexpr std::array<std::string_view, 3> names{"rate", "output", "credit"};
        return fail(config::unknown_option(name, names, "", "a peer takes rate=, output= and credit="));
    }
    return {};
}

Result<std::string> read_text(const std::string& path) {
    const auto refuse = [&](const std::string& why) { return fail("peers file " + path + " " + why); };
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat about {};
    if (!file || ::fstat(file.get(), &about) != 0) {
        return refuse(std::string("cannot be read: ") + std::strerror(errno));
    }
    if (!S_ISREG(about.st_mode)) {
        return refuse("is no regular file");
    }
    if ((about.st_mode & S_IWOTH) != 0) {
        return refuse("may be written by everybody, who could let himself in: chmod o-w it");
    }
    std::string text(largest_file + 1, '\0');
    std::size_t size = 0;
    for (ssize_t got = 1; got > 0 && size < text.size(); size += static_cast<std::size_t>(got)) {
        got = ::read(file.get(), text.data() + size, text.size() - size);
        if (got < 0) {
            return refuse(std::string("cannot be read: ") + std::strerror(errno));
        }
    }
    if (size > largest_file) {
        return refuse("is larger than 1 MiB: is this a list of peers?");
    }
    text.resize(size);
    return text;
}

} // namespace

Result<Peers> Peers::parse(std::string_view text, const std::string& name) {
    Peers all;
    std::set<std::string, std::less<>> names;
    for (unsigned number = 1; !text.empty(); ++number) {
        const auto refuse = [&](const std::string& why) {
            return fail(name + ':' + std::to_string(number) + ": " + why);
        };
        std::string_view line = config::next_line(text);
        line = line.substr(0, line.find('#'));
        const std::string_view key_text = config::next_word(line);
        if (key_text.empty()) {
            continue;
        }
        const auto key = sealed::decode_public_key(key_text);
        if (!key) {
            return refuse("the line does not begin with a public key: expected 44 characters of base64, as "
                          "ekeydctl pubkey prints them");
        }
        Peer peer;
        peer.name = config::next_word(line);
        if (!is_name(peer.name)) {
            return refuse("a name of letters, digits, . _ and -, at most 64, is expected after the key");
        }
        std::set<std::string_view> given;
        for (auto word = config::next_word(line); !word.empty(); word = config::next_word(line)) {
            if (auto option = read_option(word, peer); !option) {
                return refuse(option.error().what);
            }
            const std::string_view option_name = word.substr(0, word.find('='));
            if (!given.insert(option_name).second) {
                return refuse(std::string(option_name) + " is given twice");
            }
        }
        if (const Peer* const present = all.find(*key)) {
            return refuse("the key is that of " + present->name + " already");
        }
        if (!names.insert(peer.name).second) {
            return refuse("the name " + peer.name + " is given twice");
        }
        all.peers_.emplace(*key, std::move(peer));
    }
    return all;
}

Result<Peers> Peers::read(const std::string& path) {
    const auto text = read_text(path);
    return text ? parse(*text, path) : tl::unexpected(text.error());
}

const Peer* Peers::find(const sealed::PublicKey& key) const {
    const auto found = peers_.find(key);
    return found == peers_.end() ? nullptr : &found->second;
}

} // namespace ekey
