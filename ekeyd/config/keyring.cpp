#include "ekeyd/config/keyring.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "ekeyd/config/words.h"
#include "ekeyd/runtime/handle.h"

namespace ekey::config {

using entropykey::LongTermKey;
using entropykey::Serial;

namespace {

// A keyring has a line of 61 characters a dongle; 1 MiB is some 17,000 of them, and what may be locked.
constexpr std::size_t size_limit = 1 << 20;
constexpr std::size_t key_text_size = 44;

// The text of a keyring file holds keys: it lives in locked memory.
struct Text {
    SecretBytes bytes;
    std::size_t size = 0;

    explicit Text(std::size_t capacity) : bytes(std::max<std::size_t>(capacity, 1)) {}
    std::string_view view() const { return as_text(bytes.span().first(size)); }
    void append(std::string_view more) {
        std::memcpy(bytes.data() + size, more.data(), more.size());
        size += more.size();
    }
};

std::string system_error() {
    return std::strerror(errno);
}

Result<Text> read_all(int fd, const std::string& path) {
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail("keyring " + path + " is no regular file");
    }
    if (static_cast<std::size_t>(status.st_size) > size_limit) {
        return fail("keyring " + path + " is larger than 1 MiB: that is no keyring");
    }
    Text text(static_cast<std::size_t>(status.st_size));
    while (text.size < static_cast<std::size_t>(status.st_size)) {
        const ssize_t got =
            ::read(fd, text.bytes.data() + text.size, static_cast<std::size_t>(status.st_size) - text.size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail("keyring " + path + " cannot be read: " + system_error());
        }
        if (got == 0) {
            break; // it has been cut short since
        }
        text.size += static_cast<std::size_t>(got);
    }
    return text;
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno != EINTR) {
            return false;
        }
        text.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
    }
    return true;
}

struct Line {
    Serial serial;
    LongTermKey key;
};

// What follows the key is left alone, as 1.1.5 does.
Result<Line> parse_line(std::string_view line) {
    const auto serial = entropykey::parse_serial(next_word(line));
    if (!serial) {
        return tl::unexpected(serial.error());
    }
    const auto key = entropykey::parse_long_term_key(next_word(line));
    if (!key) {
        return tl::unexpected(key.error());
    }
    return Line{*serial, *key};
}

// A line for this serial, even one whose key is spoiled.
bool belongs_to(std::string_view line, const Serial& serial) {
    return next_word(line) == serial.base64();
}

// The old text with the one line of `serial` put in place of its first, every further line of it left out.
Text with_line(std::string_view old, const Serial& serial, const LongTermKey& key) {
    const std::string name = serial.base64();
    Text text(old.size() + name.size() + key_text_size + 3); // a blank and two line ends
    const auto put_line = [&] {
        text.append(name);
        text.append(" ");
        SecretArray<key_text_size> written;
        entropykey::write_base64(
            key, std::span<char, key_text_size>(reinterpret_cast<char*>(written.data()), key_text_size));
        text.append(as_text(written.span()));
        text.append("\n");
    };
    bool placed = false;
    while (!old.empty()) {
        const auto line = next_line(old);
        if (!belongs_to(line, serial)) {
            text.append(line);
            if (line.back() != '\n') {
                text.append("\n");
            }
        } else if (!placed) {
            placed = true;
            put_line();
        }
    }
    if (!placed) {
        put_line();
    }
    return text;
}

// A file that is removed again unless it was renamed into place.
class TemporaryFile {
  public:
    explicit TemporaryFile(const std::string& beside) : path_(beside + ".XXXXXX") {
        fd_.reset(::mkostemp(path_.data(), O_CLOEXEC)); // mode 0600
    }
    ~TemporaryFile() {
        if (fd_ && !placed_) {
            ::unlink(path_.c_str());
        }
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    int fd() const { return fd_.get(); }
    bool place(const std::string& path) { return placed_ = ::rename(path_.c_str(), path.c_str()) == 0; }

  private:
    std::string path_;
    Fd fd_;
    bool placed_ = false;
};

// Where an update takes place, locked against another one.
struct Place {
    std::string path; // as it was given
    std::string file; // what it leads to
    Fd folder;
};

tl::unexpected<Error> cannot_write(const Place& place) {
    return fail("keyring " + place.path + " cannot be written: " + system_error());
}

Result<Place> open_place(const std::string& path) {
    // A keyring that is a symbolic link stays one: the file that it leads to is replaced.
    std::error_code error;
    std::filesystem::path file = std::filesystem::canonical(path, error);
    if (error) {
        file = std::filesystem::absolute(path);
    }
    Place place{path, file.string(), Fd()};
    const std::string folder = file.parent_path().string();
    place.folder.reset(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!place.folder || ::flock(place.folder.get(), LOCK_EX) != 0) {
        return fail("keyring " + path + " cannot be written: folder " + folder + ": " + system_error());
    }
    return place;
}

struct Old {
    Text text{0};
    std::optional<struct stat> status; // none: there is no file yet
};

Result<Old> read_old(const Place& place) {
    Old old;
    const Fd file(::open(place.file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file && errno == ENOENT) {
        return old;
    }
    if (!file) {
        return fail("keyring " + place.path + " cannot be read: " + system_error());
    }
    auto text = read_all(file.get(), place.path);
    if (!text) {
        return tl::unexpected(text.error());
    }
    old.text = std::move(*text);
    old.status.emplace();
    ::fstat(file.get(), &*old.status);
    return old;
}

Result<void> replace_file(const Place& place, std::string_view text, const std::optional<struct stat>& old) {
    TemporaryFile temporary(place.file);
    if (temporary.fd() < 0) {
        return cannot_write(place);
    }
    // The daemon may run as the file's owner. Who may not give files away keeps this one: better owned by
    // another than not written.
    if (old && ::fchown(temporary.fd(), old->st_uid, old->st_gid) != 0 && errno != EPERM) {
        return cannot_write(place);
    }
    if (!write_all(temporary.fd(), text) || ::fsync(temporary.fd()) != 0 || !temporary.place(place.file)) {
        return cannot_write(place);
    }
    return {};
}

} // namespace

struct Keyring::Entries {
    std::vector<Serial> serials;
    std::vector<std::string> skipped, remarks;
    std::optional<SecretBytes> keys; // one LongTermKey for each of serials, in their order

    LongTermKey* key(std::size_t index) {
        return std::launder(reinterpret_cast<LongTermKey*>(keys->data() + index * sizeof(LongTermKey)));
    }
    LongTermKey* find(const Serial& serial) {
        const auto found = std::ranges::find(serials, serial);
        return found == serials.end() ? nullptr : key(static_cast<std::size_t>(found - serials.begin()));
    }
    ~Entries() {
        for (std::size_t i = 0; keys && i < serials.size(); ++i) {
            key(i)->~LongTermKey();
        }
    }
};

Keyring::Keyring() : entries_(std::make_unique<Entries>()) {}
Keyring::~Keyring() = default;
Keyring::Keyring(Keyring&&) noexcept = default;
Keyring& Keyring::operator=(Keyring&&) noexcept = default;

Keyring Keyring::parse(std::string_view text) {
    Keyring keyring;
    Entries& entries = *keyring.entries_;
    const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
    entries.serials.reserve(lines);
    entries.keys.emplace(std::min(lines, text.size() / key_text_size + 1) * sizeof(LongTermKey));
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto line = next_line(text);
        if (is_comment_or_empty(line)) {
            continue;
        }
        const auto parsed = parse_line(line);
        if (!parsed) {
            entries.skipped.push_back("line " + std::to_string(number) + ": " + parsed.error().what);
        } else if (LongTermKey* known = entries.find(parsed->serial)) {
            *known = parsed->key; // as in 1.1.5
            entries.remarks.push_back("line " + std::to_string(number) + " counts, and an earlier one of " +
                                      parsed->serial.base64() + " does not");
        } else {
            new (entries.keys->data() + entries.serials.size() * sizeof(LongTermKey))
                LongTermKey(parsed->key);
            entries.serials.push_back(parsed->serial);
        }
    }
    return keyring;
}

Result<Keyring> Keyring::read(const std::string& path) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) {
        return fail("keyring " + path + " cannot be read: " + system_error());
    }
    auto text = read_all(file.get(), path);
    if (!text) {
        return tl::unexpected(text.error());
    }
    Keyring keyring = parse(text->view());
    struct stat status {};
    constexpr mode_t open_to_others = S_IWGRP | S_IRWXO; // a group may read it: the daemon's user
    if (::fstat(file.get(), &status) == 0 && (status.st_mode & open_to_others) != 0) {
        char mode[8];
        std::snprintf(mode, sizeof mode, "%04o", status.st_mode & 07777);
        keyring.entries_->remarks.push_back("it is open to others (mode " + std::string(mode) +
                                            "), who can then read the dongle's noise: chmod 600 it");
    }
    return keyring;
}

const LongTermKey* Keyring::find(const Serial& serial) const {
    return entries_->find(serial);
}

std::size_t Keyring::size() const {
    return entries_->serials.size();
}

const std::vector<std::string>& Keyring::skipped() const {
    return entries_->skipped;
}

const std::vector<std::string>& Keyring::remarks() const {
    return entries_->remarks;
}

Result<void> Keyring::update(const std::string& path, const Serial& serial, const LongTermKey& key) {
    const auto place = open_place(path);
    if (!place) {
        return tl::unexpected(place.error());
    }
    const auto old = read_old(*place);
    if (!old) {
        return tl::unexpected(old.error());
    }
    const Text text = with_line(old->text.view(), serial, key);
    if (auto replaced = replace_file(*place, text.view(), old->status); !replaced) {
        return replaced;
    }
    if (::fsync(place->folder.get()) != 0) {
        return fail("keyring " + path + " is written, but perhaps not yet on the disk: " + system_error());
    }
    return {};
}

Result<void> Keyring::may_update(const std::string& path) {
    const auto place = open_place(path);
    if (!place) {
        return tl::unexpected(place.error());
    }
    if (auto old = read_old(*place); !old) {
        return tl::unexpected(old.error());
    }
    if (TemporaryFile(place->file).fd() < 0) {
        return cannot_write(*place);
    }
    return {};
}

} // namespace ekey::config
