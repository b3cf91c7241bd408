#include "ekeyd/config/identity.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "ekeyd/runtime/handle.h"

namespace ekey::config {

namespace {

// One key and what a person may note beside it.
constexpr std::size_t longest_file = 4096;

std::string system_error() {
    return std::strerror(errno);
}

// Who may read it is the service manager's business; it may say so with an access list, whose mode looks
// open.
Fd open_credential(const std::string& path) {
    const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
    if (folder == nullptr) {
        return {};
    }
    const std::filesystem::path file_there =
        std::filesystem::path(folder) / std::filesystem::path(path).filename();
    Fd file(::open(file_there.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat about {};
    if (!file || ::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode) ||
        static_cast<std::size_t>(about.st_size) < sealed::key_text_size) {
        return {};
    }
    return file;
}

Result<Fd> open_private(const std::string& path) {
    if (Fd credential = open_credential(path)) {
        return credential;
    }
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) {
        return fail("identity " + path + " cannot be read: " + system_error() +
                    (errno == ENOENT ? " (ekeydctl keygen makes one)" : ""));
    }
    struct stat about {};
    if (::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) {
        return fail("identity " + path + " is no regular file");
    }
    if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        char mode[8];
        std::snprintf(mode, sizeof mode, "%04o", about.st_mode & 07777u);
        return fail("identity " + path + " is open to others (mode " + mode +
                    "), and holds a secret: chmod 600 it, or make a new key if somebody may have read it");
    }
    return file;
}

// The one line that is neither empty nor a comment.
std::optional<sealed::SecretKey> find_key(std::string_view text) {
    std::optional<sealed::SecretKey> key;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        while (!line.empty() && (line.back() == ' ' || line.back() == '\r' || line.back() == '\t')) {
            line.remove_suffix(1);
        }
        if (line.empty() || line.front() == '#') {
            continue;
        }
        if (key) {
            return std::nullopt;
        }
        key = sealed::decode_secret(line);
        if (!key) {
            return std::nullopt;
        }
    }
    return key;
}

bool fill_randomly(ByteSpan out) {
    while (!out.empty()) {
        const ssize_t got = ::getrandom(out.data(), out.size(), 0);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        out = out.subspan(got > 0 ? static_cast<std::size_t>(got) : 0);
    }
    return true;
}

Result<void> write_new(const std::string& path, ByteView text) {
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) {
        return fail(errno == EEXIST
                        ? path +
                              " is there already, and is left as it is: remove it first, or name another file"
                        : path + " cannot be written: " + system_error());
    }
    // Whatever the umask was.
    if (::fchmod(file.get(), 0600) != 0 ||
        ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fsync(file.get()) != 0) {
        const std::string why = system_error();
        ::unlink(path.c_str());
        return fail(path + " cannot be written: " + why);
    }
    return {};
}

} // namespace

Result<Identity> Identity::read(const std::string& path) {
    const auto file = open_private(path);
    if (!file) {
        return tl::unexpected(file.error());
    }
    SecretBytes text(longest_file + 1);
    std::size_t size = 0;
    for (ssize_t got = 1; got > 0 && size < text.size(); size += static_cast<std::size_t>(got)) {
        got = ::read(file->get(), text.data() + size, text.size() - size);
        if (got < 0) {
            return fail("identity " + path + " cannot be read: " + system_error());
        }
    }
    const auto key =
        size > longest_file ? std::nullopt : find_key(as_text(ByteView(text.span()).first(size)));
    if (!key) {
        return fail(
            "identity " + path +
            " holds no key: expected one line of 44 characters of base64, as ekeydctl keygen writes it");
    }
    return Identity(*key);
}

Result<Identity> Identity::create(const std::string& path) {
    sealed::SecretKey secret;
    if (!fill_randomly(secret.span())) {
        return fail("the kernel gives no random bytes: " + system_error());
    }
    Identity made(secret);
    const std::string comment = "# A secret: this host's key for sealed links. Its public key:\n# " +
                                sealed::encode_key(made.keys().public_key) + '\n';
    SecretBytes text(comment.size() + sealed::key_text_size + 1);
    std::memcpy(text.data(), comment.data(), comment.size());
    sealed::encode_secret(
        secret, std::span<char, sealed::key_text_size>(reinterpret_cast<char*>(text.data()) + comment.size(),
                                                       sealed::key_text_size));
    text.data()[text.size() - 1] = '\n';
    if (auto written = write_new(path, text.span()); !written) {
        return tl::unexpected(written.error());
    }
    return made;
}

} // namespace ekey::config
