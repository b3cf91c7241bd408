#include "tests/softkey/identity.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>

#include "ekeyd/config/keyring.h"
#include "ekeyd/runtime/handle.h"
#include "tests/softkey/runner.h"

namespace ekey::softkey {

namespace {

constexpr std::string_view serial_label = "Serial ", key_label = "Master key ";
constexpr std::size_t card_limit = 4096; // some 90 characters, and what people write beside them

std::string system_error() {
    return std::strerror(errno);
}

bool sync_folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return fd && ::fsync(fd.get()) == 0;
}

Result<void> take_line(std::string_view line, Identity& into, bool& has_serial, bool& has_key) {
    if (line.starts_with(serial_label)) {
        const auto serial = entropykey::parse_serial(line.substr(serial_label.size()));
        if (!serial) {
            return fail("serial number: " + serial.error().what);
        }
        into.serial = *serial;
        has_serial = true;
    } else if (line.starts_with(key_label)) {
        const auto key = entropykey::parse_master_key(line.substr(key_label.size()));
        if (!key) {
            return fail("master key: " + key.error().what);
        }
        into.master_key = *key;
        has_key = true;
    }
    return {};
}

Result<void> take_card(std::string_view text, Identity& into) {
    bool has_serial = false, has_key = false;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
        if (auto taken = take_line(line, into, has_serial, has_key); !taken) {
            return taken;
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return has_serial && has_key ? Result<void>{}
                                 : fail("expected a line \"Serial ...\" and a line \"Master key ...\"");
}

// What was not given is made up. Further devices have the serial numbers that follow in the last byte.
void make_up(const Options& options, unsigned device, Identity& identity) {
    const auto noise = noise_for(options, device, identity_stream);
    noise->fill(identity.serial.bytes);
    noise->fill(identity.long_term_key.span());
    noise->fill(identity.master_key.span());
    if (options.serial) {
        identity.serial = *options.serial;
        identity.serial.bytes.back() = static_cast<Byte>(identity.serial.bytes.back() + device);
    }
    if (options.long_term_key) {
        identity.long_term_key = *options.long_term_key;
    }
    if (options.master_key) {
        identity.master_key = *options.master_key;
    }
}

Result<void> keep_state(const std::string& path, Identity& identity) {
    const auto known = read_state(path, identity);
    if (!known) {
        return tl::unexpected(known.error());
    }
    return *known ? Result<void>{} : write_state(path, identity.serial, identity.long_term_key);
}

} // namespace

std::unique_ptr<Noise> noise_for(const Options& options, unsigned device, std::uint64_t stream) {
    return options.seed ? seeded_noise(*options.seed, device * streams_of_one + stream) : kernel_noise();
}

Result<Locked<Identity>> make_identity(const Options& options, unsigned device) {
    auto identity = make_locked<Identity>();
    make_up(options, device, *identity);
    Result<void> done;
    if (!options.card_file.empty()) {
        done = read_card(options.card_file, *identity);
    }
    if (done && !options.new_card_file.empty()) {
        done = write_new_card(options.new_card_file, card_text(*identity));
    }
    if (done && !options.state_file.empty()) {
        done = keep_state(options.state_file, *identity);
    }
    if (done && !options.keyring_file.empty()) {
        done = config::Keyring::update(options.keyring_file, identity->serial, identity->long_term_key);
    }
    if (!done) {
        return tl::unexpected(done.error());
    }
    return identity;
}

CardText card_text(const Identity& identity) {
    constexpr std::size_t in_base64 = 44, groups = in_base64 / 4; // of 33 bytes: the key, then its check byte
    SecretArray<33> bytes;
    std::ranges::copy(identity.master_key.span(), bytes.span().begin());
    bytes.span().back() = entropykey::check_byte(identity.master_key.span());
    SecretArray<in_base64 + 1> text;
    sodium_bin2base64(reinterpret_cast<char*>(text.data()), text.size(), bytes.data(), bytes.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    const std::string head =
        std::string(serial_label) + identity.serial.base64() + '\n' + std::string(key_label);
    CardText card(head.size() + in_base64 + groups); // after each group a space, after the last a line's end
    Byte* at = std::ranges::copy(as_bytes(head), card.data()).out;
    for (std::size_t i = 0; i < in_base64; i += 4) {
        at = std::copy_n(text.data() + i, 4, at);
        *at++ = i + 4 < in_base64 ? ' ' : '\n';
    }
    return card;
}

Result<void> write_new_card(const std::string& path, const CardText& text) {
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) {
        return fail("--new-card " + path + ": " +
                    (errno == EEXIST ? "is there already, and a card is never overwritten" : system_error()));
    }
    const auto size = static_cast<ssize_t>(text.size());
    if (::write(file.get(), text.data(), text.size()) != size || ::fsync(file.get()) != 0 ||
        !sync_folder_of(path)) {
        const std::string why = system_error();
        ::unlink(path.c_str());
        return fail("--new-card " + path + ": cannot be written: " + why);
    }
    return {};
}

Result<void> read_card(const std::string& path, Identity& into) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0) {
        return fail("--card " + path + ": " + system_error() + " (--new-card makes one)");
    }
    if (!S_ISREG(status.st_mode)) {
        return fail("--card " + path + ": is no regular file");
    }
    if ((status.st_mode & 077) != 0) {
        say("--card " + path + ": others may read it; chmod 600 keeps the master key to its owner");
    }
    SecretBytes text(card_limit);
    const ssize_t got = ::read(file.get(), text.data(), text.size());
    if (got < 0) {
        return fail("--card " + path + ": " + system_error());
    }
    auto taken = take_card(as_text(text.span().first(static_cast<std::size_t>(got))), into);
    return taken ? taken : fail("--card " + path + ": " + taken.error().what);
}

Result<bool> read_state(const std::string& path, Identity& into) {
    if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
        return false;
    }
    const auto kept = config::Keyring::read(path);
    if (!kept) {
        return fail("--state: " + kept.error().what);
    }
    if (!kept->skipped().empty()) {
        return fail("--state " + path + ": " + kept->skipped().front() +
                    "; without the file a new long-term key is made, and the host needs ekey-rekey");
    }
    const auto* key = kept->find(into.serial);
    if (key != nullptr) {
        into.long_term_key = *key;
    }
    return key != nullptr;
}

Result<void> write_state(const std::string& path, const entropykey::Serial& serial,
                         const entropykey::LongTermKey& key) {
    auto done = config::Keyring::update(path, serial, key);
    return done ? done : fail("--state: " + done.error().what);
}

} // namespace ekey::softkey
